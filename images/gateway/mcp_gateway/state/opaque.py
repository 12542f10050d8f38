"""Opaque secrets: refresh tokens, codes, client secrets and cookies, of which only the hash is kept."""

from __future__ import annotations

import hashlib
import secrets


def new_secret() -> str:
    """256 random bits in URL-safe characters."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """SHA-256 in hexadecimal. A plain hash is enough: nobody can guess 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
