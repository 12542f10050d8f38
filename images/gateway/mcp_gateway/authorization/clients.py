"""Clients: those that registered themselves, and how one proves who it is at the token endpoint."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from sqlalchemy import Connection, select

from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.state.opaque import secret_hash
from mcp_gateway.state.schema import clients

UNUSED_SECONDS = 86400
"""A client that registered and was never used is deleted after this time."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client as the authorization server knows it."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    auth_method: str = "none"
    secret_hash: str | None = field(default=None, repr=False)
    refresh: bool = True
    """Whether it asked for refresh tokens."""
    verified_host: str | None = None
    """The host that vouches for it: the one of its metadata document."""

    @property
    def redirect_uris_hash(self) -> str:
        """A digest of the redirect URIs, to notice that they changed."""
        return hashlib.sha256(json.dumps(sorted(self.redirect_uris)).encode()).hexdigest()


def is_metadata_url(client_id: str) -> bool:
    """Whether a client id is meant to be the URL of a metadata document; registered ids never have a colon."""
    return ":" in client_id


def find_registered(db: Connection, client_id: str) -> Client | None:
    """A client that registered itself."""
    row = db.execute(select(clients).where(clients.c.id == client_id)).first()
    if row is None:
        return None
    return Client(
        id=row.id,
        name=row.name,
        redirect_uris=tuple(row.redirect_uris),
        auth_method=row.auth_method,
        secret_hash=row.secret_hash,
        refresh="refresh_token" in row.grant_types,
    )


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client that registered itself, as administrators see it listed. Times are seconds since 1970."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    created_at: int
    used_at: int | None


def list_registered(db: Connection) -> list[RegisteredClient]:
    """The clients that registered themselves, newest first."""
    rows = db.execute(select(clients).order_by(clients.c.created_at.desc()))
    return [RegisteredClient(row.id, row.name, tuple(row.redirect_uris), row.created_at, row.used_at) for row in rows]


def delete_client(db: Connection, client_id: str) -> None:
    """Forget a client that registered itself: it has to register again."""
    db.execute(clients.delete().where(clients.c.id == client_id))


def mark_client_used(db: Connection, client_id: str, now: int) -> None:
    """Record that a client got a token, so that it is kept."""
    db.execute(clients.update().where(clients.c.id == client_id).values(used_at=now))


def delete_unused_clients(db: Connection, now: int) -> None:
    """Delete the clients that registered and were never used."""
    db.execute(clients.delete().where(clients.c.used_at.is_(None), clients.c.created_at < now - UNUSED_SECONDS))


def count_unused_clients(db: Connection, most: int) -> int:
    """How many clients have registered without being used, up to `most`."""
    rows = db.execute(select(clients.c.id).where(clients.c.used_at.is_(None)).limit(most))
    return len(rows.all())


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """How a client presented itself at the token or revocation endpoint."""

    client_id: str
    method: str
    secret: str = field(repr=False)


def presented_credentials(authorization: str | None, form: Parameters) -> ClientCredentials:
    """The credentials of a request: HTTP Basic, or in the body (RFC 6749 section 2.3.1), or just the client id.

    Raises:
        OAuthError: `invalid_client` when they are malformed, `invalid_request` when there are two.
    """
    if authorization is None:
        secret = form.get("client_secret")
        return ClientCredentials(form.required("client_id"), "client_secret_post" if secret else "none", secret)
    scheme, _, encoded = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        client_id, separator, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        if not separator:
            raise ValueError
    except (ValueError, binascii.Error):
        raise _refused("The Authorization header is not HTTP Basic") from None
    if form.get("client_secret"):
        raise OAuthError("invalid_request", "Two ways of client authentication in one request")
    credentials = ClientCredentials(unquote_plus(client_id), "client_secret_basic", unquote_plus(secret))
    if form.get("client_id") not in {"", credentials.client_id}:
        raise OAuthError("invalid_request", "client_id differs from that in the Authorization header")
    return credentials


def authenticate(db: Connection, credentials: ClientCredentials) -> None:
    """Check the credentials. Raises OAuthError `invalid_client`.

    A client with a metadata document is public: its code is bound to it by PKCE and the redirect URI.
    """
    if is_metadata_url(credentials.client_id):
        if credentials.method != "none":
            raise _refused("This client has no secret")
        return
    client = find_registered(db, credentials.client_id)
    if client is None:
        raise _refused("Unknown client: register again")
    if client.secret_hash is None:
        if credentials.method != "none":
            raise _refused("This client has no secret")
        return
    if credentials.method != client.auth_method:
        raise _refused(f"This client authenticates with {client.auth_method}")
    if not hmac.compare_digest(secret_hash(credentials.secret), client.secret_hash):
        raise _refused("Wrong client secret")


def _refused(description: str) -> OAuthError:
    # RFC 6749 section 5.2: 401 names the scheme that is accepted.
    return OAuthError("invalid_client", description, 401, 'Basic realm="mcp"')
