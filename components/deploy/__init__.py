"""The end that acts: rendered specs become resources, and secret values meet them."""
