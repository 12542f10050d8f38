"""The two eras of the protocol: what each demands of a request, and how one is said in the other's words. Pure.

Modern: 2026-07-28, each request stands alone and carries version and capabilities in `_meta`. Legacy: up to 2025-11-25,
a session that opens with `initialize`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from mcp_runner.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
    Message,
    error,
)

MODERN_VERSIONS = ("2026-07-28",)
LEGACY_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
CLIENT_INFO = {"name": "mcp-runner", "version": "1"}

_PREFIX = "io.modelcontextprotocol/"
VERSION_KEY, CAPABILITIES_KEY, CLIENT_KEY = (
    _PREFIX + "protocolVersion",
    _PREFIX + "clientCapabilities",
    _PREFIX + "clientInfo",
)
SERVER_KEY, LOG_LEVEL_KEY, SUBSCRIPTION_KEY = _PREFIX + "serverInfo", _PREFIX + "logLevel", _PREFIX + "subscriptionId"
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_CACHEABLE = frozenset(
    {"tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read", "server/discover"}
)
_MODERN_ONLY = ("resultType", "ttlMs", "cacheScope")
_STATUS = {-32700: 400, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400, -32601: 404}


def error_status(answer: Message) -> int:
    """Return the HTTP status that the modern era gives to a response."""
    problem = answer.get("error")
    code = problem.get("code") if isinstance(problem, dict) else None
    return _STATUS.get(code, 200) if isinstance(code, int) else 200


def decode_header(value: bytes | None) -> str | None:
    """Return what a mirrored header says; `=?base64?…?=` carries text that a header can't. None for absent or
    malformed."""
    if value is None:
        return None
    text = value.decode("latin-1")
    if not (text.startswith("=?base64?") and text.endswith("?=") and len(text) >= 11):
        return text
    try:
        raw = base64.b64decode(text[9:-2], validate=True)
        return raw.decode("utf-8") if base64.b64encode(raw).decode() == text[9:-2] else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def unsupported(id: Any, version: object) -> Message:
    """Return the answer to a version that isn't served."""
    supported = [*MODERN_VERSIONS, *LEGACY_VERSIONS]
    return error(
        id, UNSUPPORTED_VERSION, "Unsupported protocol version", {"supported": supported, "requested": version}
    )


def check_modern(message: Message, version: bytes | None, method: bytes | None, name: bytes | None) -> Message | None:
    """Return the error that refuses a modern request, or None: `_meta` is there, headers agree with the body, the
    version is served."""
    id, params = message["id"], message.get("params") or {}
    meta = params.get("_meta")
    if not isinstance(meta, dict) or VERSION_KEY not in meta or not isinstance(meta.get(CAPABILITIES_KEY), dict):
        return error(id, INVALID_PARAMS, f"params._meta must carry {VERSION_KEY} and {CAPABILITIES_KEY}")
    if decode_header(version) != meta[VERSION_KEY]:
        return error(id, HEADER_MISMATCH, "the MCP-Protocol-Version header differs from params._meta")
    if decode_header(method) != message["method"]:
        return error(id, HEADER_MISMATCH, "the Mcp-Method header differs from the body's method")
    key = _NAMED.get(message["method"])
    if key is not None and params.get(key) is not None and decode_header(name) != params[key]:
        return error(id, HEADER_MISMATCH, f"the Mcp-Name header differs from the body's {key}")
    if meta[VERSION_KEY] not in MODERN_VERSIONS:
        return unsupported(id, meta[VERSION_KEY])
    return None


def envelope(params: Message | None, client_info: Message, capabilities: Message) -> Message:
    """Return params with the modern `_meta` for a request of a legacy client."""
    meta = dict((params or {}).get("_meta") or {})
    meta |= {VERSION_KEY: MODERN_VERSIONS[0], CAPABILITIES_KEY: capabilities, CLIENT_KEY: client_info}
    return {**(params or {}), "_meta": meta}


def initialize_request(id: int, version: str = LEGACY_VERSIONS[0]) -> Message:
    """Return the runner's own `initialize`, which offers no capabilities: nobody could answer for them."""
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT_INFO}
    return {"jsonrpc": "2.0", "id": id, "method": "initialize", "params": params}


def discover_request(id: int) -> Message:
    """Return the runner's own `server/discover`."""
    return {"jsonrpc": "2.0", "id": id, "method": "server/discover", "params": envelope(None, CLIENT_INFO, {})}


def is_modern_discovery(answer: Message) -> bool:
    """Say whether an answer to `server/discover` shows a server that serves the modern era."""
    result = answer.get("result")
    versions = result.get("supportedVersions") if isinstance(result, dict) else None
    return isinstance(versions, list) and any(version in MODERN_VERSIONS for version in versions)


def discovery(initialized: Message) -> Message:
    """Say a legacy server's `initialize` result as a `server/discover` result."""
    result: Message = {
        "supportedVersions": [*MODERN_VERSIONS],
        "capabilities": _without_subscriptions(initialized.get("capabilities") or {}),
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
    }
    if initialized.get("instructions"):
        result["instructions"] = initialized["instructions"]
    if initialized.get("serverInfo"):
        result["_meta"] = {SERVER_KEY: initialized["serverInfo"]}
    return result


def _without_subscriptions(capabilities: Message) -> Message:
    """A legacy server's change notifications can't be tied to a modern client's request, so they aren't offered."""
    drop = {"listChanged", "subscribe"}
    return {
        name: {k: v for k, v in value.items() if k not in drop} if isinstance(value, dict) else value
        for name, value in capabilities.items()
        if name != "tasks"
    }


def initialization(discovered: Message, requested: object) -> Message:
    """Say a modern server's `server/discover` result as an `initialize` result."""
    info = (discovered.get("_meta") or {}).get(SERVER_KEY) or {"name": "mcp-server", "version": "0"}
    result: Message = {
        "protocolVersion": requested if requested in LEGACY_VERSIONS else LEGACY_VERSIONS[0],
        "capabilities": _without_subscriptions(discovered.get("capabilities") or {}),
        "serverInfo": info,
    }
    if discovered.get("instructions"):
        result["instructions"] = discovered["instructions"]
    return result


def legacy_request(message: Message) -> Message:
    """Say a modern request to a legacy server: without the envelope, with what else `_meta` holds (a progress token,
    say)."""
    params = dict(message.get("params") or {})
    meta = {key: value for key, value in (params.pop("_meta", None) or {}).items() if not key.startswith(_PREFIX)}
    if meta:
        params["_meta"] = meta
    return {**message, "params": params}


def modern_result(method: str, result: Message, server_info: Message | None) -> Message:
    """Give a legacy server's result the shape of the modern era: complete, not to be cached by others."""
    shaped: Message = {"resultType": "complete", **result}
    if method in _CACHEABLE:
        shaped = {"ttlMs": 0, "cacheScope": "private", **shaped}
    if server_info:
        shaped["_meta"] = {SERVER_KEY: server_info, **(result.get("_meta") or {})}
    return shaped


def legacy_answer(answer: Message) -> Message:
    """Give a modern server's answer the shape of the legacy era; a call for more input has none there."""
    result = answer.get("result")
    if not isinstance(result, dict):
        return answer
    if result.get("resultType", "complete") != "complete":
        text = "this server asks for more input in a way that needs a client of protocol version 2026-07-28"
        return error(answer.get("id"), METHOD_NOT_FOUND, text)
    return {**answer, "result": {key: value for key, value in result.items() if key not in _MODERN_ONLY}}
