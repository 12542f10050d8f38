"""One client connection at a time: a request sent, its answer parsed and handed on as it arrives (RFC 9112)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol, cast

import httptools

if TYPE_CHECKING:
    from mcp_wire.http_client import Pool

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 65536
STALE_SECONDS = 1.0
"""A reused connection that ends later than this after the request isn't stale: the server may have begun to work."""


class UpstreamError(OSError):
    """The upstream could not be reached or did not answer with HTTP; the text is fit for a log."""


class AddressRefused(UpstreamError):
    """A name that has to be public leads to an address that isn't."""


class NoConnection(UpstreamError):
    """No connection could be made: nothing of the request was sent, or it may be sent again.

    `refused` says that the other side is there and nothing listens.
    """

    def __init__(self, message: str, *, refused: bool = False):
        super().__init__(message)
        self.refused = refused


class TooManyConnections(UpstreamError):
    """The pool's bound is reached."""


class Sink(Protocol):
    """Takes one answer: `on_head`, any number of `on_data`, then `on_end`; or `on_failure`, once, at any point."""

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the status and the headers, names in lower case."""

    def on_data(self, data: bytes) -> None:
        """Take a piece of the body."""

    def on_end(self) -> None:
        """Know that the answer is complete."""

    def on_read_end(self) -> None:
        """Know that all which one read brought has been handed on, but for an answer that has ended."""

    def on_failure(self, error: UpstreamError) -> None:
        """Know that no more of the answer will come."""


class Call:
    """One request under way: `cancel` drops it, `pause` and `resume` hold the answer back."""

    __slots__ = (
        "_paused",
        "answered",
        "connection",
        "head_only",
        "pool",
        "repeatable",
        "request",
        "sink",
        "started",
        "tried",
    )

    def __init__(self, pool: Pool, request: bytes, sink: Sink, *, head_only: bool, repeatable: bool):
        self.pool = pool
        self.request = request
        self.sink: Sink | None = sink
        self.head_only = head_only
        self.repeatable = repeatable
        self.connection: Connection | None = None
        self.answered = False
        self.tried = False
        self.started = 0.0
        self._paused = False

    def cancel(self) -> None:
        """Close the connection of this call, which tells the upstream; its sink hears nothing more."""
        self.sink = None
        if self.connection is not None:
            self.connection.close()

    def pause(self) -> None:
        """Stop reading the answer."""
        self._paused = True
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """Read the answer again."""
        self._paused = False
        if self.connection is not None:
            self.connection.resume()

    def fail(self, error: UpstreamError) -> None:
        """Tell the sink, once, that the answer won't come."""
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.on_failure(error)


class Connection(asyncio.Protocol):
    """One connection; at most one call at a time."""

    __slots__ = (
        "_bodiless_bytes",
        "_body_until_close",
        "_closed",
        "_finished",
        "_headers",
        "_in_head",
        "_parser",
        "_paused",
        "_reusable",
        "_transport",
        "call",
        "idle_since",
        "pool",
        "reused",
    )

    def __init__(self, pool: Pool):
        self.pool = pool
        self.call: Call | None = None
        self.reused = False
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._bodiless_bytes = 0
        self._body_until_close = False
        self._closed = False
        self._finished = False
        self._in_head = False
        self._paused = False
        self._reusable = False

    # What the pool and the call do.

    def send(self, call: Call) -> None:
        """Send the call's request; the connection is its until the answer has ended."""
        self.call = call
        call.connection = self
        self._reusable = False
        self._bodiless_bytes = 0
        if self._transport is not None:
            self._transport.write(call.request)

    def close(self) -> None:
        """Close at once; a call that is still there hears nothing."""
        self.call = None
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading from the socket."""
        if not self._paused and not self._closed and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the socket again."""
        if self._paused and not self._closed and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    @property
    def closed(self) -> bool:
        """Whether the connection can't carry another call."""
        return self._closed or self._transport is None or self._transport.is_closing()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse; bytes without a call are a server that speaks out of turn: the connection is of no more use."""
        if self.call is None:
            self.close()
            return
        self._bodiless_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            logger.exception("an answer could not be handed on")
            self._fail(UpstreamError(f"the answer could not be handed on: {error}"))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(UpstreamError(f"the upstream's answer isn't HTTP/1.1: {error}"))
        else:
            if self._finished:
                # Not before all bytes are parsed: what follows the answer must never meet the next call.
                self._settle()
            elif self._bodiless_bytes > MAX_HEAD_BYTES:
                self._fail(UpstreamError(f"the upstream sent over {MAX_HEAD_BYTES} bytes of head, framing or trailers"))
            elif not self._in_head and self.call is not None and self.call.sink is not None:
                self.call.sink.on_read_end()

    def eof_received(self) -> None:
        """Close: half-open connections carry nothing for us."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer if the close is its end; send a request again that met a stale connection; fail it else."""
        self._closed = True
        self.pool.forget(self)
        call, self.call = self.call, None
        if call is None:
            return
        call.connection = None
        if self._body_until_close and exc is None:
            sink, call.sink = call.sink, None
            if sink is not None:
                sink.on_end()
            return
        stale = self.reused and not call.answered and not call.tried and time.monotonic() - call.started < STALE_SECONDS
        if stale and call.repeatable:
            call.tried = True
            self.pool.open_for(call)
        else:
            call.fail(UpstreamError("the upstream closed the connection before its answer was complete"))

    # httptools' callbacks

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._headers = []
        self._in_head = True
        self._body_until_close = False
        if self.call is not None:
            self.call.answered = True
        else:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are ignored (RFC 9110 section 6.5.1)."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hand the head on, unless it is an interim answer (RFC 9110 section 15.2)."""
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        self._in_head = False
        call = self.call
        if call is None or status < 200:
            return
        framing = {name for name, _ in headers}
        self._body_until_close = (
            b"content-length" not in framing and b"transfer-encoding" not in framing and status not in (204, 304)
        )
        # Two framings in one answer are two readings of where it ends (RFC 9112 section 6.3): never reuse after it.
        self._reusable = not (b"content-length" in framing and b"transfer-encoding" in framing)
        if call.sink is not None:
            call.sink.on_head(status, headers)
        if call.head_only and self.call is call:
            self._reusable = False
            self._finish(call)

    def on_body(self, data: bytes) -> None:
        """Hand a piece of the body on."""
        self._bodiless_bytes = 0
        if self.call is not None and self.call.sink is not None:
            self.call.sink.on_data(data)

    def on_message_complete(self) -> None:
        """End the call, unless the answer was an interim one."""
        if self.call is not None and self._parser.get_status_code() >= 200:
            self._finish(self.call)

    def _finish(self, call: Call) -> None:
        self.call = None
        call.connection = None
        self._finished = True
        self._reusable = self._reusable and not self._body_until_close and self._parser.should_keep_alive()
        sink, call.sink = call.sink, None
        if sink is not None:
            sink.on_end()

    def _settle(self) -> None:
        self._finished = False
        if self._reusable:
            self.resume()
            self.pool.give_back(self)
        else:
            self.close()

    def _fail(self, error: UpstreamError) -> None:
        call = self.call
        self.close()
        if call is not None:
            call.connection = None
            call.fail(error)
