"""The record of who signed in, consented, registered and was granted what."""
