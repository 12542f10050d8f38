"""The plan as Docker networks, volumes, images and containers."""
