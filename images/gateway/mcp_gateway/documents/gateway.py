"""The gateway document: a stack's gateway, users and servers (docs/contracts.md, section 1)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mcp_gateway.documents.fields import Fields
from mcp_gateway.documents.native_redirect_uris import native_redirect_uri_problem
from mcp_gateway.documents.public_url import public_url_problem
from mcp_gateway.documents.servers import Server, declared_server, unique
from mcp_gateway.documents.user_settings import UserSetting
from mcp_gateway.documents.users import User, declared_user

__all__ = [
    "LONGEST_ACCESS_SECONDS",
    "VERSION",
    "GatewayDocument",
    "InvalidDocument",
    "Registration",
    "Server",
    "Tokens",
    "User",
    "UserSetting",
    "digest",
    "parse_gateway_document",
]

VERSION: Final = 2
"""The version of the document that this image reads."""

LONGEST_ACCESS_SECONDS: Final = 3600
"""No access token lives longer than this, so nothing about one needs to be kept longer."""


class InvalidDocument(Exception):
    """The document can't be used; `problems` names every field that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Tokens:
    """Lifetimes in seconds."""

    access_seconds: int
    refresh_seconds: int
    code_seconds: int


@dataclass(frozen=True, slots=True)
class Registration:
    """How clients may become known; `metadata_domains` empty admits every domain.

    `native_redirect_uris` are the only URIs with a private-use scheme that a client may be redirected to.
    """

    dynamic: bool
    metadata_documents: bool
    metadata_domains: tuple[str, ...]
    native_redirect_uris: tuple[str, ...]


@dataclass(frozen=True)
class GatewayDocument:
    """The whole document, checked."""

    stack: str
    public_url: str
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    tokens: Tokens
    registration: Registration
    users: tuple[User, ...]
    servers: tuple[Server, ...]

    def resource(self, server: Server) -> str:
        """The resource identifier of a server (RFC 8707): the URL that clients call."""
        return self.public_url + server.path

    def server_at(self, resource: str) -> Server | None:
        """The server with this resource identifier."""
        return next((server for server in self.servers if self.resource(server) == resource), None)

    def user(self, login: str) -> User | None:
        """The declared user with this login."""
        return self._users_by_login.get(login)

    def server(self, identifier: str) -> Server | None:
        """The server with this id."""
        return self._servers_by_id.get(identifier)

    def usable_server(self, resource: str, login: str) -> Server | None:
        """The server with this resource identifier, if this user may use it."""
        server, user = self.server_at(resource), self.user(login)
        return server if server is not None and user is not None and server.access.admits(user) else None

    def asked(self) -> frozenset[tuple[str, str, str]]:
        """Login, server id and key of every user setting of every server that a user may use."""
        return frozenset(
            (user.login, server.id, setting.key)
            for server in self.servers
            for user in self.users
            if server.user_settings and server.access.admits(user)
            for setting in server.user_settings
        )

    # Looked up for each instance once a second, and by each request: made once for a document.

    @cached_property
    def _users_by_login(self) -> dict[str, User]:
        return {user.login: user for user in self.users}

    @cached_property
    def _servers_by_id(self) -> dict[str, Server]:
        return {server.id: server for server in self.servers}


def digest(raw: bytes) -> str:
    """The digest that the control side acknowledges: SHA-256 of the file's bytes, in hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def parse_gateway_document(raw: bytes) -> GatewayDocument:
    """Read and check a gateway document.

    Raises:
        InvalidDocument: with every problem at once.
    """
    try:
        value = json.loads(raw)
    except ValueError:
        raise InvalidDocument(["the gateway document is not valid JSON"]) from None
    if not isinstance(value, dict):
        raise InvalidDocument(["the gateway document must be a JSON object"])
    problems: list[str] = []
    top = Fields(value, "", problems)
    if top.number("version", 0, 2**31) != VERSION:
        # Alone: what another version's fields lack or have too much is no one's mistake.
        raise InvalidDocument(
            [f"version: must be {VERSION}: program and gateway image don't fit together, use those of one release"]
        )
    document = GatewayDocument(
        stack=top.text("stack", longest=100),
        public_url=top.text("publicUrl"),
        allowed_hosts=top.texts("allowedHosts"),
        allowed_origins=top.texts("allowedOrigins"),
        tokens=_tokens(top.child("tokens")),
        registration=_registration(top.child("registration")),
        users=tuple(declared_user(fields) for fields in top.children("users")),
        servers=tuple(declared_server(fields) for fields in top.children("servers")),
    )
    if document.public_url and (problem := public_url_problem(document.public_url)):
        top.problem("publicUrl", problem)
    unique(problems, "users", "login", [user.login.casefold() for user in document.users])
    unique(problems, "servers", "id", [server.id for server in document.servers])
    top.done()
    if problems:
        raise InvalidDocument(problems)
    return document


def _tokens(fields: Fields) -> Tokens:
    tokens = Tokens(
        # Minutes, not hours: an edge that can't reach the control side honours a token until it expires.
        access_seconds=fields.number("accessSeconds", 30, LONGEST_ACCESS_SECONDS),
        refresh_seconds=fields.number("refreshSeconds", 60, 400 * 86400),
        # At most ten minutes, one recommended (OAuth 2.1 section 4.1.2).
        code_seconds=fields.number("codeSeconds", 5, 600),
    )
    fields.done()
    return tokens


def _registration(fields: Fields) -> Registration:
    registration = Registration(
        dynamic=fields.flag("dynamic"),
        metadata_documents=fields.flag("metadataDocuments"),
        metadata_domains=fields.texts("metadataDomains"),
        native_redirect_uris=fields.texts("nativeRedirectUris"),
    )
    for index, uri in enumerate(registration.native_redirect_uris):
        if problem := native_redirect_uri_problem(uri):
            fields.problem(f"nativeRedirectUris[{index}]", problem)
    fields.done()
    return registration
