"""The answer to one POST, or the stream of one GET: plain JSON when the response comes first, else server-sent
events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mcp_wire.exchange import Exchange
from mcp_wire.response import HeaderBlock, header_block
from mcp_wire.sse import KEEP_ALIVE, encode_message

UNSENT_LIMIT = 4_194_304
"""A stream whose client leaves more than this unread (bytes) is cut."""

_EVENTS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
JSON_HEADERS = header_block([(b"content-type", b"application/json")])
EVENT_HEADERS = header_block(_EVENTS)


class Reply:
    """Carries messages (one line each) to one client's exchange."""

    __slots__ = ("_events", "_exchange", "_streaming", "born", "on_slow")

    def __init__(self, exchange: Exchange, *, events: bool, born: float):
        self._exchange = exchange
        self._events = events
        self._streaming = False
        self.born = born
        self.on_slow: Callable[[Exchange], None] | None = None

    @property
    def open(self) -> bool:
        """Say whether the client still waits."""
        return self._exchange.open

    @property
    def takes_events(self) -> bool:
        """Say whether anything but the response can be sent here."""
        return self._events and self._exchange.open

    def start(self) -> None:
        """Commit to a stream."""
        if not self._streaming and self._exchange.open:
            self._streaming = True
            self._exchange.start(200, EVENT_HEADERS)

    def send(self, line: bytes) -> None:
        """Send a message that isn't the response; lost when the client takes no events."""
        if self._events and self._exchange.open:
            self.start()
            self._write(encode_message(line))

    def keep_alive(self) -> None:
        """Show a silent connection's middlemen that it is in use."""
        if self._events and self._exchange.open:
            self.start()
            if self._exchange.writable:
                self._exchange.write(KEEP_ALIVE)

    def finish(self, line: bytes, status: int = 200, headers: HeaderBlock = JSON_HEADERS) -> None:
        """Send the response, the last message."""
        if not self._streaming:
            self._exchange.respond(status, headers, line)
        elif self._exchange.open:
            self._write(encode_message(line))
            self._end()

    def close(self) -> None:
        """End a stream without a response."""
        self.start()
        self._end()

    def _write(self, event: bytes) -> None:
        exchange = self._exchange
        if exchange.unsent_bytes > UNSENT_LIMIT:
            exchange.abort()
            self._no_longer_slow()
            return
        exchange.write(event)
        if not exchange.writable and self.on_slow is not None:
            self.on_slow(exchange)

    def _end(self) -> None:
        if self._exchange.open:
            self._exchange.end()
            self._no_longer_slow()

    def _no_longer_slow(self) -> None:
        """Let go whoever waits for the client to catch up: an exchange that has ended never tells them."""
        if self._exchange.on_drain is not None:
            self._exchange.on_drain()


class Answer(Reply):
    """The response to a request of the runner's own."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.born = float("inf")
        self._events = False

    @property
    def open(self) -> bool:
        """Say whether the runner still waits."""
        return not self.future.done()

    @property
    def takes_events(self) -> bool:
        """Nothing but the response is wanted."""
        return False

    def send(self, line: bytes) -> None:
        """Drop what isn't the response."""

    def finish(self, line: bytes, status: int = 200, headers: HeaderBlock = JSON_HEADERS) -> None:
        """Hand the response to the waiting task."""
        if not self.future.done():
            self.future.set_result(line)
