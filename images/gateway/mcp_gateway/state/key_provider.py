"""Key providers wrap the data keys under which secret columns are encrypted. The first one is a key file."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class KeyUnavailable(Exception):
    """The key that the database's data keys are wrapped under can't be had; the message says what to do."""


class KeyProvider(Protocol):
    """Wraps and unwraps data keys under a key that never reaches the database."""

    @property
    def name(self) -> str:
        """What the database records, so that a data key is unwrapped by the provider that wrapped it."""

    def wrap(self, data_key: bytes, key_id: str) -> bytes:
        """Encrypt a data key; `key_id` is bound to the result."""

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        """Decrypt a data key. Raises KeyUnavailable."""


@dataclass(frozen=True)
class KeyFile:
    """A file of 32 random bytes that only its owner may read."""

    path: Path
    key: bytes = field(repr=False)

    name = "file"

    def wrap(self, data_key: bytes, key_id: str) -> bytes:
        """AES-256-GCM with a random nonce in front."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.key).encrypt(nonce, data_key, f"data-key:{key_id}".encode())

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        """The inverse of `wrap`."""
        try:
            return AESGCM(self.key).decrypt(wrapped[:12], wrapped[12:], f"data-key:{key_id}".encode())
        except InvalidTag:
            raise KeyUnavailable(
                f"{self.path} is not the key that this database was encrypted under: restore the right key file."
            ) from None


def open_key_file(path: Path, *, create: bool) -> KeyFile:
    """Read the key file, or create it when the database is new.

    Raises:
        KeyUnavailable: it is missing although there is encrypted data, others may read it, or it isn't a key.
    """
    try:
        if create and not path.exists():
            _create(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        key = path.read_bytes()
    except OSError as error:
        raise KeyUnavailable(
            f"{path}: {error.strerror}. The database is encrypted under this key: restore the key file from its backup."
        ) from None
    if mode & 0o077:
        raise KeyUnavailable(f"{path} may be read by others (mode {mode:o}): set its mode to 600.")
    if len(key) != 32:
        raise KeyUnavailable(f"{path} is not a key file of 32 bytes: restore it from its backup.")
    return KeyFile(path, key)


def _create(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(os.urandom(32))
        file.flush()
        os.fsync(file.fileno())
