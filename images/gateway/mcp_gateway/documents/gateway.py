"""The gateway document: a stack's gateway, users and servers (docs/contracts.md, section 1)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from mcp_gateway.documents.fields import Fields
from mcp_gateway.documents.native_redirect_uris import native_redirect_uri_problem
from mcp_gateway.documents.public_url import public_url_problem

LONGEST_ACCESS_SECONDS: Final = 3600
"""No access token lives longer than this, so nothing about one needs to be kept longer."""

_ID = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>\d{1,7}),t=(?P<passes>\d{1,2}),p=(?P<lanes>\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)
_CONNECTION_HEADERS: Final = frozenset(
    [
        "host",
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "accept",
        "cookie",
    ]
)


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


@dataclass(frozen=True, slots=True)
class User:
    """A local account as the stack declares it."""

    login: str
    display_name: str
    email: str
    admin: bool
    groups: tuple[str, ...]
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a server."""

    everyone: bool
    users: frozenset[str]
    groups: frozenset[str]

    def admits(self, user: User) -> bool:
        """Whether this user may use the server."""
        return self.everyone or user.login in self.users or not self.groups.isdisjoint(user.groups)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the edge finds the server, and the headers that it adds."""

    url: str
    reach: str
    headers: Mapping[str, str] = field(repr=False)
    ca_file: str | None


@dataclass(frozen=True, slots=True)
class UserSetting:
    """A value that each user supplies for a server, sent as a header."""

    key: str
    name: str
    description: str
    required: bool
    sensitive: bool
    prefix: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call, and one minute of calls, may take."""

    request_bytes: int
    calls_per_minute: int
    answer_seconds: int


@dataclass(frozen=True, slots=True)
class Server:
    """One server behind the gateway."""

    id: str
    name: str
    description: str
    icon: str
    kind: str
    path: str
    upstream: Upstream
    user_headers: Mapping[str, Mapping[str, str]] = field(repr=False)
    user_settings: tuple[UserSetting, ...]
    access: Access
    tools_allowed: tuple[str, ...] | None
    limits: Limits


@dataclass(frozen=True, slots=True)
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
        return next((user for user in self.users if user.login == login), None)

    def usable_server(self, resource: str, login: str) -> Server | None:
        """The server with this resource identifier, if this user may use it."""
        server, user = self.server_at(resource), self.user(login)
        return server if server is not None and user is not None and server.access.admits(user) else None


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
    if top.number("version", 0, 2**31) != 1:
        top.problem("version", "must be 1: program and gateway image don't fit together, use those of one release")
    document = GatewayDocument(
        stack=top.text("stack", longest=100),
        public_url=top.text("publicUrl"),
        allowed_hosts=top.texts("allowedHosts"),
        allowed_origins=top.texts("allowedOrigins"),
        tokens=_tokens(top.child("tokens")),
        registration=_registration(top.child("registration")),
        users=tuple(_user(fields) for fields in top.children("users")),
        servers=tuple(_server(fields) for fields in top.children("servers")),
    )
    if document.public_url and (problem := public_url_problem(document.public_url)):
        top.problem("publicUrl", problem)
    _unique(problems, "users", "login", [user.login.casefold() for user in document.users])
    _unique(problems, "servers", "id", [server.id for server in document.servers])
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


def _user(fields: Fields) -> User:
    user = User(
        login=fields.text("login", longest=128),
        display_name=fields.text("displayName", longest=200, empty=True),
        email=fields.text("email", longest=320, empty=True),
        admin=fields.flag("admin"),
        groups=fields.texts("groups"),
        password_hash=fields.text("passwordHash", longest=300),
    )
    if user.login and not _LOGIN.fullmatch(user.login):
        fields.problem("login", "must be letters, digits and . _ @ + - only")
    if user.password_hash:
        match = _ARGON2ID.fullmatch(user.password_hash)
        if match is None:
            fields.problem("passwordHash", "must be an argon2id hash ($argon2id$v=19$...)")
        elif not (19456 <= int(match["memory"]) <= 1048576 and 2 <= int(match["passes"]) <= 20):
            fields.problem("passwordHash", "must use 19 MiB to 1 GiB of memory and 2 to 20 passes")
    fields.done()
    return user


def _server(fields: Fields) -> Server:
    server = Server(
        id=fields.text("id", longest=63),
        name=fields.text("name", longest=200),
        description=fields.text("description", longest=20000, empty=True),
        icon=fields.text("icon", longest=20000, empty=True),
        kind=fields.choice("kind", ("multiUser", "remote")),
        path=fields.text("path"),
        upstream=_upstream(fields.child("upstream")),
        user_headers=_user_headers(fields),
        user_settings=tuple(_user_setting(setting) for setting in fields.children("userSettings")),
        access=_access(fields.child("access")),
        tools_allowed=_tools(fields.child("tools")),
        limits=_limits(fields.child("limits")),
    )
    if server.id and not _ID.fullmatch(server.id):
        fields.problem(
            "id", "must be lower-case letters, digits and . _ - only, and begin and end with a letter or digit"
        )
    if server.path != f"/mcp-connect/{server.id}":
        fields.problem("path", "must be /mcp-connect/ followed by the server's id")
    fields.done()
    return server


def _upstream(fields: Fields) -> Upstream:
    upstream = Upstream(
        url=fields.text("url"),
        reach=fields.choice("reach", ("private", "public", "allowed")),
        headers=_headers(fields, "headers", fields.strings("headers")),
        ca_file=fields.optional_text("caFile"),
    )
    if upstream.url and not _http_url(upstream.url):
        fields.problem("url", "must be an http or https URL without a user name or a fragment")
    fields.done()
    return upstream


def _http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and (parts.port or 1) > 0
            and "@" not in parts.netloc
            and "#" not in url
        )
    except ValueError:
        return False


def _user_headers(fields: Fields) -> dict[str, dict[str, str]]:
    found = {}
    for login, user in fields.named_children("userHeaders"):
        values = {name: user.text(name, longest=16384) for name in user.raw}
        found[login] = _headers(fields, f"userHeaders.{login}", values)
    return found


def _headers(fields: Fields, name: str, headers: dict[str, str]) -> dict[str, str]:
    for header, value in headers.items():
        if not _HEADER_NAME.fullmatch(header) or header.lower() in _CONNECTION_HEADERS:
            fields.problem(f"{name}.{header}", "is not a header that may be set")
        if not all(character == "\t" or (32 <= ord(character) <= 255 and ord(character) != 127) for character in value):
            fields.problem(f"{name}.{header}", "has a character that a header can't carry")
    return headers


def _user_setting(fields: Fields) -> UserSetting:
    setting = UserSetting(
        key=fields.text("key", longest=200),
        name=fields.text("name", longest=200),
        description=fields.text("description", longest=20000, empty=True),
        required=fields.flag("required"),
        sensitive=fields.flag("sensitive"),
        prefix=fields.text("prefix", longest=200, empty=True),
    )
    fields.done()
    return setting


def _access(fields: Fields) -> Access:
    access = Access(
        everyone=fields.flag("everyone"),
        users=frozenset(fields.texts("users")),
        groups=frozenset(fields.texts("groups")),
    )
    fields.done()
    return access


def _tools(fields: Fields) -> tuple[str, ...] | None:
    allowed = fields.optional_texts("allowed")
    fields.done()
    return allowed


def _limits(fields: Fields) -> Limits:
    limits = Limits(
        request_bytes=fields.number("requestBytes", 1024, 1 << 30),
        calls_per_minute=fields.number("callsPerMinute", 1, 10_000_000),
        answer_seconds=fields.number("answerSeconds", 1, 86400),
    )
    fields.done()
    return limits


def _unique(problems: list[str], part: str, name: str, values: list[str]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            problems.append(f"{part}[{index}].{name}: is given twice")
