"""Passwords: argon2id, with the same work for a login that doesn't exist."""

from __future__ import annotations

import base64
import os
import re
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LONGEST_PASSWORD: Final = 1024
"""Characters; longer ones are refused before any work is done."""

_HASHER: Final = PasswordHasher()
_DEFAULT_PARAMETERS: Final = "$argon2id$v=19$m=65536,t=3,p=4"
_PARAMETERS = re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+")


def password_matches(password_hash: str, password: str) -> bool:
    """Whether the password is the one that was hashed. Blocks for the time that the hash demands."""
    if len(password) > LONGEST_PASSWORD:
        return False
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def decoy_hash(like: str | None) -> str:
    """A hash that no password has, as costly as another, so that signing in with an unknown login takes as long."""
    match = _PARAMETERS.match(like or "")
    salt, tag = (base64.b64encode(os.urandom(length)).rstrip(b"=").decode() for length in (16, 32))
    return f"{match[0] if match else _DEFAULT_PARAMETERS}${salt}${tag}"
