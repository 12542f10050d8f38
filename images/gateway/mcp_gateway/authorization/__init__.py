"""The OAuth 2.1 authorization server: a file for each endpoint, and one for each thing that they share."""
