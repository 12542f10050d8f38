"""What a stack may say (`stack`), how it is read (`read`), and whether stack and catalog agree (`check`)."""
