"""The plan spelled for a target: plain documents, no decisions."""
