"""The edge document (docs/contracts.md, section 2), checked and compiled into what a call looks up."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from mcp_gateway.documents.fields import Fields
from mcp_gateway.edge.headers import RESERVED_REQUEST_HEADERS
from mcp_gateway.edge.tokens import public_key

MAX_REQUEST_BYTES = 1 << 30

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}")
_REACHES = ("private", "public", "allowed")
_SUBJECT = re.compile(r"[\x21-\x7e]{1,512}")

Pairs = tuple[tuple[bytes, bytes], ...]


class DocumentError(ValueError):
    """The document can't be put in force; the message names each field and holds no value."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a server is: `target` is the request's path, `host` its Host header."""

    scheme: str
    name: str
    port: int
    host: bytes
    target: bytes
    reach: str
    ca_file: str | None


@dataclass(frozen=True, slots=True)
class Route:
    """One server and what its calls are judged by; without an `upstream` each user has an instance of it."""

    id: str
    hosted: bool
    path: bytes
    resource: str
    resource_metadata: str
    scope: str
    scopes: frozenset[str]
    upstream: Upstream | None
    headers: Pairs = field(repr=False)
    user_headers: Mapping[str, Pairs] = field(repr=False)
    missing: Mapping[str, tuple[str, ...]]
    subjects: frozenset[str]
    allowed_tools: frozenset[str] | None
    request_bytes: int
    calls_per_minute: int
    answer_seconds: int


@dataclass(frozen=True, slots=True)
class Document:
    """Everything the edge knows. The control side is told `public_scheme` and `public_host` of each request."""

    version: str
    issuer: str
    public_scheme: bytes
    public_host: bytes
    keys: Mapping[str, ec.EllipticCurvePublicKey] = field(repr=False)
    key_ids: frozenset[tuple[str, str, str]]
    allowed_hosts: frozenset[bytes]
    allowed_origins: frozenset[bytes]
    session_key: bytes = field(repr=False)
    revoked_tokens: frozenset[str]
    revoked_before: Mapping[str, float]
    subjects: frozenset[str]
    routes: Mapping[bytes, Route]


def document(raw: Any) -> Document:
    """Check `raw` and compile it; raises DocumentError with every problem."""
    if not isinstance(raw, dict):
        raise DocumentError("the edge document must be an object")
    problems: list[str] = []
    fields = Fields(raw, "", problems)
    issuer = fields.text("issuer")
    public = urlsplit(issuer)
    if public.scheme not in ("http", "https") or not public.hostname:
        fields.problem("issuer", "must be a URL with http or https")
    keys, key_ids = _keys(fields.child("jwks"))
    routes: dict[bytes, Route] = {}
    for server in fields.children("servers"):
        if (route := _route(server)) is not None:
            if route.path in routes:
                server.problem("path", "is used twice")
            routes[route.path] = route
    compiled = Document(
        version=fields.text("version"),
        issuer=issuer,
        public_scheme=public.scheme.encode(),
        public_host=public.netloc.encode(),
        keys=keys,
        key_ids=key_ids,
        allowed_hosts=frozenset(_ascii(fields, "allowedHosts")),
        allowed_origins=frozenset(_ascii(fields, "allowedOrigins")),
        session_key=_session_key(fields),
        revoked_tokens=frozenset(_times(fields, "revokedTokens")),
        revoked_before=_times(fields, "revokedBefore"),
        subjects=frozenset(subject for subject, _ in fields.named_children("subjects")),
        routes=routes,
    )
    # Fields that this version doesn't know may be restrictions that it can't honour.
    fields.done()
    if problems:
        raise DocumentError("; ".join(problems))
    return compiled


def _keys(jwks: Fields) -> tuple[dict[str, ec.EllipticCurvePublicKey], frozenset[tuple[str, str, str]]]:
    keys = {}
    identities = set()
    for key in jwks.children("keys"):
        identity = (key.text("kid"), key.text("x"), key.text("y"))
        try:
            keys[identity[0]] = public_key(key.raw)
        except ValueError:
            key.problem("crv", "must be a public P-256 key for ES256")
        identities.add(identity)
    if not keys:
        jwks.problem("keys", "must hold a key")
    return keys, frozenset(identities)


def _session_key(fields: Fields) -> bytes:
    try:
        key = base64.b64decode(fields.text("sessionKey") + "=", altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        fields.problem("sessionKey", "must be 32 bytes in base64url")
    return key


def _times(fields: Fields, name: str) -> dict[str, float]:
    times = fields.child(name).raw
    if not all(isinstance(time, (int, float)) and not isinstance(time, bool) for time in times.values()):
        fields.problem(name, "must be an object of times")
        return {}
    return {key: float(str(time)) for key, time in times.items()}


def _ascii(fields: Fields, name: str) -> list[bytes]:
    texts = fields.texts(name)
    if not all(text.isascii() for text in texts):
        fields.problem(name, "must be ASCII")
    return [text.lower().encode("ascii", "replace") for text in texts]


def _route(server: Fields) -> Route | None:
    before = len(server.problems)
    identifier = server.text("id")
    if not _ID.fullmatch(identifier):
        server.problem("id", "must be lower-case letters, digits, dots and hyphens")
    kind = server.choice("kind", ("multiUser", "singleUser", "remote"))
    path = server.text("path")
    if path != f"/mcp-connect/{identifier}":
        server.problem("path", "must be /mcp-connect/ and the id")
    metadata, scope = server.text("resourceMetadata"), server.text("scope")
    for name, value in (("resourceMetadata", metadata), ("scope", scope)):
        if not value.isascii() or not value.isprintable() or '"' in value or "\\" in value:
            server.problem(name, "must be printable ASCII without quotes")
    upstream, headers = _fixed_upstream(server) if kind != "singleUser" else _no_upstream(server)
    limits = server.child("limits")
    tools = server.child("tools")
    allowed = tools.optional_texts("allowed")
    tools.done()
    subjects = server.texts("subjects")
    if not all(_SUBJECT.fullmatch(subject) for subject in subjects):
        server.problem("subjects", "must be visible ASCII")
    missing = server.child("missing")
    route = Route(
        id=identifier,
        hosted=kind != "remote",
        path=path.encode(),
        resource=server.text("resource"),
        resource_metadata=metadata,
        scope=scope,
        scopes=frozenset(scope.split(" ")),
        upstream=upstream,
        headers=headers,
        user_headers={
            subject: _pairs(server.child("userHeaders"), subject) for subject in server.child("userHeaders").raw
        },
        missing={subject: missing.texts(subject) for subject in missing.raw},
        subjects=frozenset(subjects),
        allowed_tools=None if allowed is None else frozenset(allowed),
        request_bytes=limits.number("requestBytes", 1, MAX_REQUEST_BYTES),
        calls_per_minute=limits.number("callsPerMinute", 1, 1_000_000_000),
        answer_seconds=limits.number("answerSeconds", 1, 86_400),
    )
    for part in (limits, server):
        part.done()
    return route if len(server.problems) == before else None


def _fixed_upstream(server: Fields) -> tuple[Upstream | None, Pairs]:
    fields = server.child("upstream")
    url, reach, ca_file = fields.text("url"), fields.choice("reach", _REACHES), fields.optional_text("caFile")
    headers = _pairs(fields, "headers")
    fields.done()
    upstream = upstream_at(url, reach, ca_file)
    if isinstance(upstream, str):
        fields.problem("url", upstream)
        return None, headers
    return upstream, headers


def _no_upstream(server: Fields) -> tuple[None, Pairs]:
    server.asked.add("upstream")
    if server.raw.get("upstream", "") is not None:
        server.problem("upstream", "must be null: each user has an instance")
    return None, ()


def upstream_at(url: str, reach: str, ca_file: str | None) -> Upstream | str:
    """The upstream that `url` names, or why it can't be one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "must be a URL with a host and a port that exists"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in host or parts.fragment:
        return "must be http or https, with a host, without user name and fragment"
    if not (host + target).isascii() or not (host + target).isprintable() or " " in host + target:
        return "must be printable ASCII without spaces"
    return Upstream(
        scheme=parts.scheme,
        name=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        host=host.encode(),
        target=target.encode(),
        reach=reach,
        ca_file=ca_file,
    )


def _pairs(fields: Fields, name: str) -> Pairs:
    pairs = []
    for header, value in fields.strings(name).items():
        if not _TOKEN.fullmatch(header) or header.lower().encode() in RESERVED_REQUEST_HEADERS:
            fields.problem(name, "has a header name that can't be set")
        elif not _VALUE.fullmatch(value) or value != value.strip():
            fields.problem(name, f"has a value of {header} that no header can carry")
        else:
            pairs.append((header.lower().encode(), value.encode("latin-1")))
    return tuple(pairs)
