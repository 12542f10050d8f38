"""What the edge says itself: refusals in HTTP and JSON-RPC, challenges (RFC 6750, RFC 9728).

Nothing of a request is repeated but its JSON-RPC id.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from mcp_gateway.edge.document import Route

Headers = tuple[tuple[bytes, bytes], ...]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022
REFUSED = -32000
"""JSON-RPC's range for the implementation: anything the edge refuses that MCP has no code for."""
SESSION_NOT_FOUND = -32001
URL_ELICITATION_REQUIRED = -32042
"""MCP 2025-11-25, client/elicitation; later versions ask for input in a result."""

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `reason` is what the audit trail says about it."""

    status: int
    headers: Headers
    body: bytes
    reason: str


def http_error(status: int, message: str = "", *, headers: Headers = (), reason: str = "") -> Answer:
    """An answer for where no JSON-RPC message has been read yet."""
    phrase = HTTPStatus(status).phrase
    body = orjson.dumps({"error": phrase.lower().replace(" ", "_"), "message": message or phrase})
    return Answer(status, (_JSON, _NO_STORE, *headers), body, reason or phrase.lower())


def rpc_error(
    status: int, code: int, message: str, *, id: Any = None, data: Any = None, headers: Headers = (), reason: str = ""
) -> Answer:
    """A JSON-RPC error; `id` is null where the request's isn't known (JSON-RPC 2.0, section 5)."""
    error = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}
    body = orjson.dumps({"jsonrpc": "2.0", "id": id, "error": error})
    return Answer(status, (_JSON, _NO_STORE, *headers), body, reason or message)


def rpc_result(id: Any, result: Any, *, reason: str) -> Answer:
    """A JSON-RPC result that the edge gives itself."""
    body = orjson.dumps({"jsonrpc": "2.0", "id": id, "result": result})
    return Answer(200, (_JSON, _NO_STORE), body, reason)


def session_not_found(id: Any = None) -> Answer:
    """404, on which clients of the eras with sessions begin a new one."""
    return rpc_error(404, SESSION_NOT_FOUND, "Session not found", id=id, reason="unknown session")


NOT_FOUND = http_error(404, "There is no such server or page.", reason="unknown server")
"""For unknown servers and for those that the caller may not use: the two can't be told apart (rule 20)."""


def unauthorized(route: Route, *, token_sent: bool) -> Answer:
    """RFC 6750 section 3.1: no `error` when no token was sent."""
    parameters = f'resource_metadata="{route.resource_metadata}", scope="{route.scope}"'
    if token_sent:
        parameters = 'error="invalid_token", ' + parameters
        return http_error(
            401,
            "The access token is not valid for this server.",
            headers=((b"www-authenticate", b"Bearer " + parameters.encode()),),
            reason="invalid token",
        )
    return http_error(
        401,
        "Sign in to use this server.",
        headers=((b"www-authenticate", b"Bearer " + parameters.encode()),),
        reason="no token",
    )


def insufficient_scope(route: Route) -> Answer:
    """RFC 6750 section 3.1, with everything the server needs at once."""
    value = f'Bearer error="insufficient_scope", scope="{route.scope}", resource_metadata="{route.resource_metadata}"'
    return http_error(
        403,
        "The access token doesn't cover this server.",
        headers=((b"www-authenticate", value.encode()),),
        reason="insufficient scope",
    )


def too_many(seconds: float) -> Answer:
    """429 with the whole seconds until the next call may be made."""
    wait = str(max(1, int(seconds + 0.999))).encode()
    return http_error(429, "Too many calls.", headers=((b"retry-after", wait),), reason="rate limit")
