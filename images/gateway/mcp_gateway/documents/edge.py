"""The edge document: what the edge needs to judge and carry each call (docs/contracts.md, section 2)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcp_gateway.documents.gateway import GatewayDocument, Server

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
        "servers": [_server(document, server, state.subjects) for server in document.servers],
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return {"version": hashlib.sha256(canonical).hexdigest(), **content}


def _server(document: GatewayDocument, server: Server, subjects: Mapping[str, str]) -> dict[str, object]:
    admitted = [user for user in document.users if user.login in subjects and server.access.admits(user)]
    missing = {
        subjects[user.login]: names
        for user in admitted
        if (names := _missing(server, server.user_headers.get(user.login, {})))
    }
    return {
        "id": server.id,
        "kind": server.kind,
        "path": server.path,
        "resource": document.resource(server),
        "resourceMetadata": document.public_url + RESOURCE_METADATA_PATH + server.path,
        "scope": SCOPE,
        "upstream": {
            "url": server.upstream.url,
            "reach": server.upstream.reach,
            "headers": dict(server.upstream.headers),
            "caFile": server.upstream.ca_file,
        },
        "userHeaders": {
            subjects[user.login]: dict(server.user_headers[user.login])
            for user in admitted
            if user.login in server.user_headers
        },
        "missing": missing,
        "subjects": [subjects[user.login] for user in admitted],
        "tools": {"allowed": None if server.tools_allowed is None else list(server.tools_allowed)},
        "limits": {
            "requestBytes": server.limits.request_bytes,
            "callsPerMinute": server.limits.calls_per_minute,
            "answerSeconds": server.limits.answer_seconds,
        },
    }


def _missing(server: Server, headers: Mapping[str, str]) -> list[str]:
    given = {name.lower() for name, value in headers.items() if value}
    return [setting.name for setting in server.user_settings if setting.required and setting.key.lower() not in given]
