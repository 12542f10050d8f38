"""The control side's state: its tables, its migrations, and the encryption of what is secret in them."""
