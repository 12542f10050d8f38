"""JSON-RPC 2.0 messages as lines and as objects. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

Message = dict[str, Any]
Id = str | int

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
SERVER_GONE, TOO_MANY, UNKNOWN_SESSION = -32000, -32001, -32002
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

# The two spellings of a plain result that the SDKs write. An id at the very end is followed by the brace that closes
# the message, so it can only be the message's own; one at the start likewise.
_RESULT_HEAD = re.compile(rb'\{"jsonrpc": ?"2\.0", ?"id": ?(\d{1,15}), ?"result": ?')
_RESULT_TAIL = re.compile(rb', ?"jsonrpc": ?"2\.0", ?"id": ?(\d{1,15})\}')
_TAIL_BYTES = 48


class MessageError(ValueError):
    """A body or line that isn't one JSON-RPC message; `code` is the JSON-RPC error code."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_constant=_no_constant).decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def parse_body(body: bytes) -> Message:
    """Return the one message of a POST. Raises MessageError: not JSON, a batch, not JSON-RPC.

    Of a key that comes twice the last value counts, and the child sees no other: it gets the message encoded anew.
    """
    try:
        message = _decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise MessageError(PARSE_ERROR, "the body is not valid JSON") from None
    if not isinstance(message, dict):
        raise MessageError(INVALID_REQUEST, "the body must be one JSON-RPC message; batches are not accepted")
    method, params = message.get("method"), message.get("params")
    answer = "result" in message or "error" in message
    if (
        message.get("jsonrpc") != "2.0"
        or (method is None) == (not answer)
        or not (method is None or isinstance(method, str))
        or not (params is None or isinstance(params, dict))
        or ("id" in message and not is_id(message["id"]))
        or (answer and "id" not in message)
    ):
        raise MessageError(INVALID_REQUEST, "the body is not a JSON-RPC 2.0 request, notification or response")
    return message


def is_id(value: object) -> bool:
    """Say whether a value may be a request's id."""
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def encode(message: Message) -> bytes:
    """Return the message as one line without its line break. Raises ValueError for what UTF-8 can't carry."""
    return _encode(message).encode("utf-8")


def error(id: Id | None, code: int, text: str, data: object = None) -> Message:
    """Return an error response."""
    body: Message = {"code": code, "message": text}
    if data is not None:
        body["data"] = data
    return {"jsonrpc": "2.0", "id": id, "error": body}


def split_result(line: bytes) -> tuple[int, int, int] | None:
    """Find the numeric id of a plain result without parsing the line: (id, start, end), or None when it must be
    parsed."""
    if not line.endswith(b"}"):
        return None
    match = _RESULT_HEAD.match(line)
    if match is None and line.startswith(b'{"result":'):
        match = _RESULT_TAIL.search(line, max(0, len(line) - _TAIL_BYTES))
        if match is not None and match.end() != len(line):
            return None
    return None if match is None else (int(match[1]), match.start(1), match.end(1))


def parse_line(line: bytes) -> Message | None:
    """Return a message of the child, or None for a line that isn't one (some servers print to their standard
    output)."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and message.get("jsonrpc") == "2.0" else None
