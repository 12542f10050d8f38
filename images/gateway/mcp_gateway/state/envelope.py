"""Envelope encryption of secret columns: AES-256-GCM under a data key that a key provider has wrapped."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import ColumnElement, Connection, LargeBinary, Row, func, select

from mcp_gateway.state.key_provider import KeyProvider
from mcp_gateway.state.schema import data_keys, secret_values

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = len(_VERSION) + 16 + _NONCE_BYTES


@dataclass(frozen=True, slots=True)
class DataKeys:
    """Data keys by id, and the one that new values are sealed under."""

    by_id: Mapping[str, bytes] = field(repr=False)
    current: str


class Envelope:
    """Encrypts under the newest data key and decrypts under whichever key a value names.

    One for a process: rotation gives it other keys while it is in use. So seal within the transaction that writes.
    """

    def __init__(self, keys: DataKeys, provider: KeyProvider) -> None:
        self.keys = keys
        self.provider = provider

    def seal(self, value: bytes, table: str, row: str, column: str) -> bytes:
        """Encrypt; the result is bound to table, row and column, so that values can't be swapped between rows."""
        keys, nonce = self.keys, os.urandom(_NONCE_BYTES)
        header = _VERSION + uuid.UUID(keys.current).bytes + nonce
        return header + AESGCM(keys.by_id[keys.current]).encrypt(nonce, value, _binding(header, table, row, column))

    def open(self, sealed: bytes, table: str, row: str, column: str) -> bytes:
        """Decrypt.

        Raises:
            cryptography.exceptions.InvalidTag: the value was changed or belongs to another place.
            KeyError: its data key is unknown.
        """
        header, key_id = sealed[:_HEADER_BYTES], str(uuid.UUID(bytes=sealed[1:17]))
        nonce = header[-_NONCE_BYTES:]
        key = self.keys.by_id[key_id]
        return AESGCM(key).decrypt(nonce, sealed[_HEADER_BYTES:], _binding(header, table, row, column))


def sealed_under_another(column: ColumnElement[bytes], key_id: str) -> ColumnElement[bool]:
    """The condition that a sealed value is not under this data key."""
    return func.substr(column, len(_VERSION) + 1, 16, type_=LargeBinary) != uuid.UUID(key_id).bytes


def _binding(header: bytes, table: str, row: str, column: str) -> bytes:
    return header + b"\x00".join(part.encode() for part in (table, row, column))


def has_data_keys(db: Connection) -> bool:
    """Whether anything in this database may be encrypted already."""
    return db.execute(select(data_keys.c.id).limit(1)).first() is not None


def open_envelope(db: Connection, provider: KeyProvider, now: int) -> Envelope:
    """Unwrap the data keys, creating the first.

    Raises:
        KeyUnavailable: the provider can't unwrap them.
    """
    rows = stored_data_keys(db)
    if rows:
        opened = {row.id: provider.unwrap(row.wrapped, row.id) for row in rows}
        return Envelope(DataKeys(opened, rows[-1].id), provider)
    key_id, key = new_data_key(db, provider, now)
    return Envelope(DataKeys({key_id: key}, key_id), provider)


def stored_data_keys(db: Connection) -> Sequence[Row[tuple[object, ...]]]:
    """The rows of the data keys, the one in use last."""
    return db.execute(select(data_keys).order_by(data_keys.c.created_at, data_keys.c.id)).all()


def new_data_key(db: Connection, provider: KeyProvider, created_at: int) -> tuple[str, bytes]:
    """Make and keep a data key; its id and the key."""
    key_id, key = str(uuid.uuid4()), AESGCM.generate_key(256)
    wrapped = provider.wrap(key, key_id)
    db.execute(data_keys.insert().values(id=key_id, provider=provider.name, wrapped=wrapped, created_at=created_at))
    return key_id, key


def read_secret(db: Connection, envelope: Envelope, name: str) -> bytes | None:
    """A value kept under a name, such as the key that the edge binds sessions with."""
    sealed = db.execute(select(secret_values.c.value).where(secret_values.c.name == name)).scalar()
    return None if sealed is None else envelope.open(sealed, "secret_values", name, "value")


def write_secret(db: Connection, envelope: Envelope, name: str, value: bytes) -> None:
    """Keep a value under a name, replacing the last one."""
    db.execute(secret_values.delete().where(secret_values.c.name == name))
    sealed = envelope.seal(value, "secret_values", name, "value")
    db.execute(secret_values.insert().values(name=name, value=sealed))


def kept_random_secret(db: Connection, envelope: Envelope, name: str) -> bytes:
    """32 random bytes that stay the same across restarts."""
    value = read_secret(db, envelope, name)
    if value is None:
        value = os.urandom(32)
        write_secret(db, envelope, name, value)
    return value
