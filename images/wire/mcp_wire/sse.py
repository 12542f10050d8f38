"""Server-sent events (WHATWG HTML, section 9.2): one event to bytes, and bytes to events as they come."""

from __future__ import annotations

from typing import NamedTuple

KEEP_ALIVE = b": keep-alive\n\n"


class Event(NamedTuple):
    """One event: `data` with its lines joined by LF, `event` empty for the default type, `id` None when the event set
    none."""

    data: bytes
    event: bytes = b""
    id: bytes | None = None


def encode_message(line: bytes) -> bytes:
    """Return the event that carries one JSON text without line breaks."""
    return b"event: message\ndata: " + line + b"\n\n"


def encode(event: Event) -> bytes:
    """Return an event's bytes; each line of its data gets a `data` field of its own.

    Raises ValueError for a type or id with a line break or NUL: it could forge fields.
    """
    fields = []
    for name, value in ((b"event", event.event), (b"id", event.id or b"")):
        if value:
            if b"\n" in value or b"\r" in value or b"\0" in value:
                raise ValueError(f"the event's {name.decode()} holds a line break or NUL")
            fields.append(name + b": " + value + b"\n")
    data = event.data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    fields += [b"data: " + line + b"\n" for line in data.split(b"\n")]
    return b"".join(fields) + b"\n"


class Decoder:
    """Reads a stream that comes in parts. Raises ValueError when one event grows beyond `limit` bytes."""

    def __init__(self, limit: int = 16_777_216):
        self._limit = limit
        self._buffer = b""
        self._after_cr = False
        self._started = False
        self._size = 0
        self._data: list[bytes] = []
        self._event = b""
        self._id: bytes | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Take more bytes and return the events that they complete."""
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
        if data:
            self._after_cr = data[-1:] == b"\r"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in data:
            self._buffer += data
            self._check()
            return []
        *lines, rest = (self._buffer + data).split(b"\n")
        self._buffer = rest
        events = [event for line in lines if (event := self._line(line)) is not None]
        self._check()
        return events

    def _check(self) -> None:
        if self._size + len(self._buffer) > self._limit:
            raise ValueError(f"an event is larger than {self._limit} bytes")

    def _line(self, line: bytes) -> Event | None:
        if not self._started:
            self._started = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            event = Event(b"\n".join(self._data), self._event, self._id) if self._data else None
            self._data, self._event, self._id, self._size = [], b"", None, 0
            return event
        self._size += len(line)
        self._check()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        return None
