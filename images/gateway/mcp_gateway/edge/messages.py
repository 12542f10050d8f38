"""Reads the message a client sends, so that policy is decided on what the server will read (rules 79 to 82).

One JSON-RPC message for each POST: only version 2025-03-26 knew batches, its clients don't need them, and a batch is
many calls that would have to be judged as one. So a batch is refused in every era.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from mcp_wire.request import Request
from mcp_wire.strict_json import StrictJsonError, case_variants, parse

from mcp_gateway.edge import answers
from mcp_gateway.edge.answers import Answer, rpc_error

MODERN = b"2026-07-28"
LEGACY_VERSIONS = frozenset({b"2024-11-05", b"2025-03-26", b"2025-06-18", b"2025-11-25"})
SUPPORTED_VERSIONS = sorted(version.decode() for version in (*LEGACY_VERSIONS, MODERN))

REPEATABLE = frozenset(
    {
        "ping",
        "server/discover",
        "tools/list",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "completion/complete",
    }
)
"""Methods that only read: a server may get such a request twice. A tool's call may pay a bill."""

_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ROUTING_HEADERS = (b"mcp-protocol-version", b"mcp-method", b"mcp-name", b"mcp-session-id", b"last-event-id")

# Names that some reader acts on. A spelling of one in another case could be that name to a caseless reader.
_MESSAGE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS = frozenset({"name", "arguments", "uri", "_meta", "cursor", "ref", "argument", "task", "taskid", "requestid"})
_PARAMS_EXACT = _PARAMS | {"taskId", "requestId"}
_META = frozenset({_VERSION_KEY, "progressToken"})
_META_FOLDED = frozenset(name.casefold() for name in _META)


@dataclass(frozen=True, slots=True)
class Message:
    """One message and its canonical bytes. `method` is None for a client's answer to a server's request."""

    id: Any
    method: str | None
    tool: str | None
    modern: bool
    body: bytes

    def refusal(self, code: int, message: str, *, data: Any = None, reason: str = "") -> Answer:
        """A JSON-RPC error in the form of the message's era: 2026-07-28 gives errors a status of their own."""
        return rpc_error(400 if self.modern else 200, code, message, id=self.id, data=data, reason=reason)


def repetition(request: Request) -> Answer | None:
    """Refuse a request whose routing headers are repeated, as server and edge could follow different ones."""
    if request.has_repeated_headers:
        for name in _ROUTING_HEADERS:
            if len(request.get_all(name)) > 1:
                return rpc_error(400, answers.HEADER_MISMATCH, f"{name.decode()} was sent more than once")
    return None


def version_refusal(version: bytes | None, body: dict[str, Any] | None = None) -> Answer | None:
    """Refuse a version that the edge doesn't know: it couldn't vouch for the meaning of the messages.

    A `body` whose `_meta` names a version is of the era in which requests stand alone: of the versions that it could
    be repeated in, only that era's is named. The others are agreed on by `initialize`.
    """
    if version is None or version == MODERN or version in LEGACY_VERSIONS:
        return None
    meta = (body.get("params") or {}).get("_meta") if body is not None else None
    alone = meta is not None and _VERSION_KEY in meta
    return rpc_error(
        400,
        answers.UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        id=body.get("id") if body is not None else None,
        data={
            "supported": [MODERN.decode()] if alone else SUPPORTED_VERSIONS,
            "requested": version.decode("ascii", "replace")[:64],
        },
    )


def message(request: Request) -> Message | Answer:
    """The message in a request's body, or the refusal of it."""
    content_type = request.get(b"content-type") or b""
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        return rpc_error(415, answers.INVALID_REQUEST, "Content-Type must be application/json")
    try:
        value, body = parse(request.body)
    except StrictJsonError as error:
        return rpc_error(400, answers.PARSE_ERROR, f"Parse error: {error}", reason="ambiguous or invalid JSON")
    if isinstance(value, list):
        return rpc_error(400, answers.INVALID_REQUEST, "Batches are not accepted: send each message on its own")
    if not isinstance(value, dict):
        return rpc_error(400, answers.INVALID_REQUEST, "The body must be a JSON-RPC message")
    method, params = value.get("method"), value.get("params")
    identifier = value.get("id")
    if problem := _problem(value, method, params, identifier):
        return rpc_error(400, answers.INVALID_REQUEST, problem)
    version = request.get(b"mcp-protocol-version")
    if refusal := version_refusal(version, value):
        return refusal
    read = Message(
        id=identifier,
        method=method,
        tool=_tool(method, params),
        modern=version == MODERN,
        body=body,
    )
    if disagreement := _disagreement(request, read, params):
        return rpc_error(400, answers.HEADER_MISMATCH, disagreement, id=identifier)
    return read


def _problem(value: dict[str, Any], method: Any, params: Any, identifier: Any) -> str:
    """Why the object isn't a JSON-RPC message that every reader takes for the same one; empty when it is."""
    names = value.keys()
    if not names <= _MESSAGE and case_variants(names, _MESSAGE, _MESSAGE):
        return "A member differs from a JSON-RPC member only in case"
    if value.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if "id" in value and (not isinstance(identifier, (str, int)) or isinstance(identifier, bool)):
        return "id must be a string or an integer"
    if "method" in value:
        if not isinstance(method, str) or "result" in value or "error" in value:
            return "A message with a method must be a request or a notification"
    elif "id" not in value or ("result" in value) == ("error" in value):
        return "A message without a method must be an answer: an id and either result or error"
    if params is None:
        return "params must be an object" if "params" in value else ""
    if not isinstance(params, dict):
        return "params must be an object"
    if case_variants(params.keys(), _PARAMS_EXACT, _PARAMS):
        return "A parameter differs from a known one only in case"
    meta = params.get("_meta")
    if meta is not None and (not isinstance(meta, dict) or case_variants(meta.keys(), _META, _META_FOLDED)):
        return "params._meta must be an object whose members differ from known ones in more than case"
    if method == "tools/call" and not isinstance(params.get("name"), str):
        return "params.name must be the name of a tool"
    return ""


def _tool(method: Any, params: Any) -> str | None:
    return params["name"] if method == "tools/call" and params is not None else None


def _disagreement(request: Request, read: Message, params: dict[str, Any] | None) -> str:
    """How headers and body contradict each other; empty when they don't.

    A header that is missing is an error only in a message that is complete otherwise: servers say first what else
    they miss, and a missing header decides nothing here.
    """
    meta = params.get("_meta") if params is not None else None
    body_version = meta.get(_VERSION_KEY) if meta is not None else None
    version = request.get(b"mcp-protocol-version")
    if isinstance(body_version, str) and version is not None and version.decode("latin-1") != body_version:
        return "MCP-Protocol-Version does not match the body's protocol version"
    if not read.modern or read.method is None:
        return ""
    complete = body_version is not None and read.id is not None
    header = request.get(b"mcp-method")
    if header is None:
        if complete:
            return "Mcp-Method is missing"
    elif header.decode("latin-1") != read.method:
        return "Mcp-Method does not match the body's method"
    key = _NAMED_BY.get(read.method)
    named = params.get(key) if key is not None and params is not None else None
    if named is None:
        return ""
    header = request.get(b"mcp-name")
    if header is None:
        return "Mcp-Name is missing" if complete else ""
    return "" if _decoded(header) == named else "Mcp-Name does not match the body"


def _decoded(value: bytes) -> str | None:
    """A header's text, from its base64 form where it has one; None for a form that isn't the one spelling of a text."""
    if not (value.startswith(b"=?base64?") and value.endswith(b"?=") and len(value) >= 11):
        return value.decode("ascii") if value.isascii() else None
    encoded = value[9:-2]
    try:
        decoded = base64.b64decode(encoded, validate=True)
        return decoded.decode() if base64.b64encode(decoded) == encoded else None
    except (binascii.Error, UnicodeDecodeError):
        return None
