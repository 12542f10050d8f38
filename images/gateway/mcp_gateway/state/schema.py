"""The tables. Times are whole seconds since 1970; tokens, codes and session cookies are kept as hashes only."""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, MetaData, String, Table, Text

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_HASH: Final = String(64)
_ID: Final = String(36)
_CLIENT_ID: Final = String(1024)


def _user() -> Column[str]:
    return Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)


def _grant() -> Column[str]:
    return Column("grant_id", _ID, ForeignKey("grants.id", ondelete="CASCADE"), nullable=False, index=True)


data_keys: Final = Table(
    "data_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("provider", String(100), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

secret_values: Final = Table(
    "secret_values",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

signing_keys: Final = Table(
    "signing_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("public", JSON, nullable=False),
    Column("private", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("active_from", BigInteger, nullable=False),
)

users: Final = Table(
    "users",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("login", String(128), nullable=False, unique=True),
    Column("display_name", String(200), nullable=False),
    Column("password_hash", String(300), nullable=False),
    Column("declared_hash", String(300), nullable=False),
    Column("tokens_valid_from", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

user_values: Final = Table(
    "user_values",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("server", String(63), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

browser_sessions: Final = Table(
    "browser_sessions",
    metadata,
    Column("hash", _HASH, primary_key=True),
    Column("id", _ID, nullable=False, unique=True),
    _user(),
    Column("browser", String(300), nullable=False),
    Column("address", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

clients: Final = Table(
    "clients",
    metadata,
    Column("id", _CLIENT_ID, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("redirect_uris", JSON, nullable=False),
    Column("auth_method", String(40), nullable=False),
    Column("secret_hash", _HASH, nullable=True),
    Column("grant_types", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
)

consents: Final = Table(
    "consents",
    metadata,
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("client_id", _CLIENT_ID, primary_key=True),
    Column("resource", String(1024), primary_key=True),
    Column("redirect_uris_hash", _HASH, nullable=False),
    Column("scope", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

grants: Final = Table(
    "grants",
    metadata,
    Column("id", _ID, primary_key=True),
    _user(),
    Column("client_id", _CLIENT_ID, nullable=False),
    Column("client_name", String(200), nullable=False),
    Column("resource", String(1024), nullable=False),
    Column("scope", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
)

authorization_codes: Final = Table(
    "authorization_codes",
    metadata,
    Column("hash", _HASH, primary_key=True),
    _grant(),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", String(43), nullable=False),
    Column("refresh", Boolean, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
)

refresh_tokens: Final = Table(
    "refresh_tokens",
    metadata,
    Column("hash", _HASH, primary_key=True),
    _grant(),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
)

access_tokens: Final = Table(
    "access_tokens",
    metadata,
    Column("id", _ID, primary_key=True),
    _grant(),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
)

Index("ix_access_tokens_revoked_at", access_tokens.c.revoked_at)
