"""Takes tools that may not be called out of the answers that list them, so that clients aren't offered what is refused.

This is courtesy, not the policy itself: calls are judged by `messages` and `call`, whatever was listed.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

MAX_BYTES = 16 * 1024 * 1024

_LINE_END = re.compile(rb"\r\n|\n|\r")


def without_tools(message: Any, allowed: frozenset[str]) -> Any:
    """The message with the tools of its result's `tools` list that are `allowed`; a batch is filtered one by one."""
    if isinstance(message, list):
        return [without_tools(part, allowed) for part in message]
    result = message.get("result") if isinstance(message, dict) else None
    if not isinstance(result, dict) or not isinstance(tools := result.get("tools"), list):
        return message
    kept = [tool for tool in tools if isinstance(tool, dict) and tool.get("name") in allowed]
    return {**message, "result": {**result, "tools": kept}}


def _filtered(text: bytes, allowed: frozenset[str]) -> bytes:
    """The JSON `text` without the tools that aren't allowed; raises ValueError for what can't be read or written."""
    try:
        return orjson.dumps(without_tools(orjson.loads(text), allowed))
    except (TypeError, RecursionError) as error:
        # A name that can't be looked up, or a nesting that one of the three steps gives up on.
        raise ValueError("the list of tools is malformed") from error


class JsonListing:
    """Filters an answer in `application/json`: read whole, then written anew."""

    def __init__(self, allowed: frozenset[str]):
        self._allowed = allowed
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Keep a piece; raises ValueError when it is too much."""
        self._size += len(data)
        if self._size > MAX_BYTES:
            raise ValueError("the list of tools is too long")
        self._parts.append(data)
        return b""

    def finish(self) -> bytes:
        """The filtered answer; raises ValueError when it isn't JSON."""
        whole = b"".join(self._parts)
        return _filtered(whole, self._allowed) if whole else b""


class EventListing:
    """Filters `text/event-stream` event by event; comments, ids and other events pass as they are."""

    def __init__(self, allowed: frozenset[str]):
        self._allowed = allowed
        self._rest: list[bytes] = []
        self._after_return = False
        self._lines: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Take a piece, give the events that are whole; raises ValueError for data that isn't JSON."""
        self._size += len(data)
        if self._size > MAX_BYTES:
            raise ValueError("an event is too long")
        if self._after_return and data.startswith(b"\n"):
            data = data[1:]
        self._rest.append(data)
        if _LINE_END.search(data) is None:
            # Not joined yet: a long line that comes in many pieces would be copied for each.
            self._after_return = False
            return b""
        text = b"".join(self._rest)
        # A carriage return ends a line at once, as events must not wait; a line feed after it is its second half.
        self._after_return = text.endswith(b"\r")
        passed = []
        start = 0
        for end in _LINE_END.finditer(text):
            line = text[start : end.start()]
            start = end.end()
            if line:
                self._lines.append(line)
            else:
                passed.append(self._event())
        self._rest = [text[start:]]
        return b"".join(passed)

    def finish(self) -> bytes:
        """An event that no empty line ended is no event (HTML Standard, section 9.2.6): nothing of it passes."""
        return b""

    def _event(self) -> bytes:
        lines, self._lines = self._lines, []
        self._size = 0
        data = [_value(line) for line in lines if line == b"data" or line.startswith(b"data:")]
        content = b"\n".join(data)
        if content:
            kept = [line for line in lines if line != b"data" and not line.startswith(b"data:")]
            lines = [*kept, b"data: " + _filtered(content, self._allowed)]
        return b"\n".join((*lines, b"", b""))


def _value(line: bytes) -> bytes:
    value = line[5:]
    return value[1:] if value.startswith(b" ") else value
