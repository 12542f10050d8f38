"""Key providers wrap the data keys under which secret columns are encrypted. The first one is a key file."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES: Final = 32


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
        """Decrypt a data key that any of the keys wrapped. Raises KeyUnavailable."""

    @property
    def rotating(self) -> bool:
        """Whether there are former keys, which only a rotation that isn't finished leaves."""

    def add_key(self) -> None:
        """Make the key that wraps from now on, and keep the last one; nothing to do while `rotating`.

        It is durable when this returns: what is wrapped under it may be.
        """

    def drop_former(self) -> None:
        """Forget every key but the one that wraps."""


@dataclass
class KeyFile:
    """A file that only its owner may read: 32 random bytes, the key that wraps data keys.

    While keys rotate it holds two keys, one after the other: the new one, which wraps, and the former one.
    """

    path: Path
    keys: tuple[bytes, ...] = field(repr=False)

    name = "file"

    @property
    def rotating(self) -> bool:
        """Whether the file holds a former key."""
        return len(self.keys) > 1

    def wrap(self, data_key: bytes, key_id: str) -> bytes:
        """AES-256-GCM with a random nonce in front."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.keys[0]).encrypt(nonce, data_key, _binding(key_id))

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes:
        """The inverse of `wrap`, under whichever key it was."""
        for key in self.keys:
            try:
                return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], _binding(key_id))
            except InvalidTag:
                continue
        raise KeyUnavailable(
            f"{self.path} is not the key that this database was encrypted under: restore the key file that belongs to "
            "it (each rotation makes another)."
        )

    def add_key(self) -> None:
        """Put a new key in front of the present one."""
        if not self.rotating:
            self._replace((os.urandom(_KEY_BYTES), *self.keys))

    def drop_former(self) -> None:
        """Leave the first key alone in the file."""
        if self.rotating:
            self._replace(self.keys[:1])

    def _replace(self, keys: tuple[bytes, ...]) -> None:
        # Always the same name, so that what an interruption leaves is overwritten by the next try.
        new = self.path.with_name(f"{self.path.name}.new")
        new.unlink(missing_ok=True)
        _write(new, b"".join(keys))
        new.replace(self.path)
        _sync_folder(self.path.parent)
        self.keys = keys


def _binding(key_id: str) -> bytes:
    return f"data-key:{key_id}".encode()


def open_key_file(path: Path, *, create: bool) -> KeyFile:
    """Read the key file, or create it when the database is new.

    Raises:
        KeyUnavailable: it is missing although there is encrypted data, others may read it, or it isn't a key.
    """
    try:
        if create and not path.exists():
            _write(path, os.urandom(_KEY_BYTES))
            _sync_folder(path.parent)
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        raise KeyUnavailable(
            f"{path}: {error.strerror}. The database is encrypted under this key: restore the key file from its backup."
        ) from None
    if mode & 0o077:
        raise KeyUnavailable(f"{path} may be read by others (mode {mode:o}): set its mode to 600.")
    if len(content) not in {_KEY_BYTES, 2 * _KEY_BYTES}:
        raise KeyUnavailable(
            f"{path} is not a key file of 32 bytes (64 during a rotation): restore it from its backup."
        )
    return KeyFile(path, tuple(content[at : at + _KEY_BYTES] for at in range(0, len(content), _KEY_BYTES)))


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a name durable: without it a power cut may bring the former file back."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
