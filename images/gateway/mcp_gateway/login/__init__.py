"""Signing in: local accounts, passwords, attempts, browser sessions."""
