"""The edge document: what the edge needs to judge and carry each call (docs/contracts.md, section 2)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcp_gateway.credentials.effective import effective
from mcp_gateway.documents.gateway import GatewayDocument, Server
from mcp_gateway.documents.servers import Upstream
from mcp_gateway.documents.user_settings import HEADER

SCOPE = "mcp"
"""The one scope there is: use the server that the token is for."""

RESOURCE_METADATA_PATH = "/.well-known/oauth-protected-resource"
"""Where RFC 9728 puts a resource's metadata; the resource's own path follows."""


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What the edge document takes from the database."""

    subjects: Mapping[str, str]
    """Login to subject."""
    keys: Sequence[Mapping[str, str]]
    """Public signing keys (RFC 7517)."""
    session_key: bytes = field(repr=False)
    revoked_tokens: Mapping[str, int]
    """`jti` to the time of expiry."""
    revoked_before: Mapping[str, int]
    """Subject to the time before which its tokens don't count."""
    given: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Subject and server to what the user gave, by key."""


def edge_document(document: GatewayDocument, state: EdgeState) -> dict[str, object]:
    """Render the edge document; its version is the digest of its content."""
    content: dict[str, object] = {
        "issuer": document.public_url,
        "jwks": {"keys": [dict(key) for key in state.keys]},
        "allowedHosts": list(document.allowed_hosts),
        "allowedOrigins": list(document.allowed_origins),
        "sessionKey": base64.urlsafe_b64encode(state.session_key).rstrip(b"=").decode(),
        "revokedTokens": dict(state.revoked_tokens),
        "revokedBefore": dict(state.revoked_before),
        "subjects": {
            state.subjects[user.login]: {"login": user.login} for user in document.users if user.login in state.subjects
        },
        "servers": [_server(document, server, state) for server in document.servers],
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return {"version": hashlib.sha256(canonical).hexdigest(), **content}


def _server(document: GatewayDocument, server: Server, state: EdgeState) -> dict[str, object]:
    admitted = [
        (state.subjects[user.login], user.login)
        for user in document.users
        if user.login in state.subjects and server.access.admits(user)
    ]
    headers = [setting.key for setting in server.user_settings if setting.usage == HEADER]
    user_headers, missing = {}, {}
    for subject, login in admitted if server.user_settings else ():
        found = effective(server, login, state.given.get((subject, server.id), {}))
        if sent := {key: found.values[key] for key in headers if key in found.values}:
            user_headers[subject] = sent
        if found.missing:
            missing[subject] = [setting.name for setting in found.missing]
    return {
        "id": server.id,
        "kind": server.kind,
        "path": server.path,
        "resource": document.resource(server),
        "resourceMetadata": document.public_url + RESOURCE_METADATA_PATH + server.path,
        "scope": SCOPE,
        "upstream": _upstream(server.upstream),
        "userHeaders": user_headers,
        "missing": missing,
        "subjects": [subject for subject, _ in admitted],
        "tools": {"allowed": None if server.tools_allowed is None else list(server.tools_allowed)},
        "limits": {
            "requestBytes": server.limits.request_bytes,
            "callsPerMinute": server.limits.calls_per_minute,
            "answerSeconds": server.limits.answer_seconds,
        },
    }


def _upstream(upstream: Upstream | None) -> dict[str, object] | None:
    if upstream is None:
        return None
    return {
        "url": upstream.url,
        "reach": upstream.reach,
        "headers": dict(upstream.headers),
        "caFile": upstream.ca_file,
    }
