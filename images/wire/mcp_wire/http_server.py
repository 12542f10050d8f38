"""HTTP/1.1 on the server's side: an `asyncio.Protocol` on httptools that serves one request at a time on each
connection.

Refused with 400 and a closed connection (RFC 9112 sections 2.2, 3.2, 5, 6): Content-Length together with
Transfer-Encoding, two Content-Lengths, a transfer coding other than `chunked`, bare LF or CR, folded lines, control
characters, malformed names, a missing or second Host, request targets other than a path (or `*`). llhttp refuses most
of them in its strict mode; what it lets pass is checked here.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from mcp_wire.connections import Connections, Limits
from mcp_wire.exchange import Exchange
from mcp_wire.head import LastHead, head_problem, last_head
from mcp_wire.request import Request

__all__ = ["Connections", "Exchange", "HttpServerProtocol", "Limits", "Request"]

_log = logging.getLogger(__name__)

_NEVER = math.inf
_LINGER_SECONDS = 2.0
"""How long the rest of a refused request is read and thrown away, so that the client sees the answer and not a
reset."""
_LINGER_BYTES = 4_194_304
_DISCARD_BYTES = 65_536
"""A body left unread by an early answer is read on (and thrown away) up to this size, to keep the connection."""
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"


class HttpServerProtocol(asyncio.Protocol):
    """One connection. `on_request` is called when a request's body is whole; `on_head`, where given, when its head is,
    and may answer at once.

    Both are called synchronously, start tasks themselves where they have to wait, and may keep the exchange. An
    exception of theirs is logged and answered 500. Further requests that a client sends meanwhile wait unread
    (pipelining).
    """

    def __init__(
        self,
        on_request: Callable[[Request, Exchange], None],
        limits: Limits,
        on_head: Callable[[Request, Exchange], None] | None = None,
        connections: Connections | None = None,
    ):
        self._on_request = on_request
        self._on_head = on_head
        self._limits = limits
        self._connections = connections if connections is not None else Connections(limits)
        self._transport: asyncio.Transport
        self._time = asyncio.get_running_loop().time
        self._peer = ""
        self._head = bytearray()
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_count = 0
        self._parser: HttpRequestParser | None = None
        self._last: LastHead | None = None
        self._request: Request | None = None
        self._exchange: Exchange | None = None
        self._complete = False
        self._body: list[bytes] = []
        self._body_size = 0
        self._wire_size = 0
        self._left = 0
        self._waiting = b""
        self._feeding = False
        self._overrun = False
        self._lingering = False
        self.http10 = False
        self.writable = True
        self.deadline = _NEVER

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, or close it at the cap."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports don't inherit from it
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else "unix"
        self.deadline = self._time() + self._limits.header_seconds
        if not self._connections.add(self):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange under way, if any."""
        self._connections.discard(self)
        exchange, self._exchange = self._exchange, None
        self._request = self._parser = None
        self._waiting = b""
        self._body.clear()
        if exchange is not None:
            exchange.disconnected()

    def eof_received(self) -> bool:
        """Close: a client that stops sending has gone (a half-closed client is not told apart)."""
        return False

    def pause_writing(self) -> None:
        """Note that the send buffer is full."""
        self.writable = False

    def resume_writing(self) -> None:
        """Note that the send buffer has room again and tell the exchange."""
        self.writable = True
        if self._exchange is not None and self._exchange.on_drain is not None:
            self._exchange.on_drain()

    def data_received(self, data: bytes) -> None:
        """Read on, or keep what belongs to a later request."""
        if self._lingering:
            self._wire_size += len(data)
            if self._wire_size > _LINGER_BYTES:
                self._transport.abort()
        elif self._complete:
            self._waiting += data
            self._transport.pause_reading()
        else:
            self._feed(data)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note a further request behind a chunked one in the same read: its bytes can't be told apart, so it is dropped
        unanswered."""
        if self._complete:
            self._overrun = True

    def on_url(self, url: bytes) -> None:
        """Collect the target (the parser may hand it in parts)."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect one header; trailers are ignored (RFC 9110 section 6.5.1)."""
        if self._request is None:
            self._header_count += 1
            if b"_" not in name:
                self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, data: bytes) -> None:
        """Collect a part of the body."""
        if self._complete:
            return
        self._body_size += len(data)
        exchange = self._exchange
        if exchange is not None and not exchange.answered and self._body_size <= exchange.body_limit:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Note the end of a chunked body."""
        if self._request is not None:
            self._complete = True

    # Reading.

    def _feed(self, data: bytes) -> None:
        self._feeding = True
        try:
            while data and not self._lingering:
                if self._complete:
                    self._waiting = data
                    self._transport.pause_reading()
                    return
                data = self._read_head(data) if self._exchange is None else self._read_body(data)
        finally:
            self._feeding = False

    def _read_head(self, data: bytes) -> bytes:
        head: bytes | bytearray = data
        start = 0
        if self._head:
            start = len(self._head)
            self._head += data
            head = self._head
        end = head.find(b"\r\n\r\n", max(0, start - 3))
        if end < 0 or end + 4 > self._limits.header_bytes:
            if len(head) > self._limits.header_bytes:
                self._refuse(431)
            elif head.count(b"\n", start) != head.count(b"\r\n", max(0, start - 1)):
                self._refuse(400)
            elif not start:
                self._head = bytearray(data)
                self.deadline = self._time() + self._limits.header_seconds
            return b""
        end += 4
        if not start and self._last is not None and (request := self._last.repeated(data, end)) is not None:
            self.http10 = False
            self._head_accepted(request, self._last.keep_alive, None, upgrade=False)
            return data[end:]
        self._parser = parser = HttpRequestParser(self)
        self._target = b""
        self._headers = []
        self._header_count = 0
        try:
            parser.feed_data(head if len(head) == end else head[:end])
        except HttpParserUpgrade:
            pass  # a request to upgrade may be served as it is (RFC 9110 section 7.8)
        except HttpParserError:
            self._refuse(400)
            return b""
        if not self._target:  # nothing but empty lines
            self._refuse(400)
            return b""
        if start:
            self._head = bytearray()
        self._head_complete(parser, bytes(head[:end]))
        return data[end - start :]

    def _head_complete(self, parser: HttpRequestParser, raw: bytes) -> None:
        method = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        self.http10 = version == "1.0"
        keep_alive = parser.should_keep_alive()
        request = Request(method, self._target, self._headers, self._peer, http10=self.http10)
        self._headers = []
        coding = request.get(b"transfer-encoding")
        problem = 431 if self._header_count > self._limits.headers else head_problem(request, version, coding)
        if problem:
            self._refuse(problem)
            return
        self._last = last_head(raw, request, keep_alive=keep_alive) if coding is None else None
        self._head_accepted(request, keep_alive, coding, upgrade=parser.should_upgrade())

    def _head_accepted(self, request: Request, keep_alive: bool, coding: bytes | None, *, upgrade: bool) -> None:
        self._request = request
        self._exchange = exchange = Exchange(
            self, head_only=request.method == "HEAD", keep_alive=keep_alive, body_limit=self._limits.body_bytes
        )
        length = int(request.get(b"content-length") or 0)
        self._left = -1 if coding else length
        self._body_size = self._wire_size = 0
        if self._left >= 0:
            self._parser = None
        elif upgrade:
            self._parser = HttpRequestParser(self)
            self._parser.feed_data(_CHUNKED_HEAD)  # a parser that has seen an upgrade reads no chunks
        if self._on_head is not None:
            self._call(self._on_head)
            if self._exchange is None:
                return
        if not exchange.answered and length > exchange.body_limit:
            self._refuse(413)
            return
        if not self._left:
            self._body_complete()
            return
        self.deadline = self._time() + self._limits.body_seconds
        if (expect := request.get(b"expect")) is not None and not exchange.answered and not self.http10:
            if expect.lower() != b"100-continue":
                self._refuse(417)
            else:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_body(self, data: bytes) -> bytes:
        if self._left >= 0:
            part = data if len(data) <= self._left else data[: self._left]
            self._left -= len(part)
            self.on_body(part)
            if not self._left:
                self._body_complete()
            return data[len(part) :]
        assert self._parser is not None  # noqa: S101 - a chunked body keeps both
        assert self._exchange is not None  # noqa: S101
        self._wire_size += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass
        except HttpParserError:
            if not self._overrun:
                self._refuse(400)
                return b""
        if self._body_size > self._exchange.body_limit and not self._exchange.answered:
            self._refuse(413)
        elif self._wire_size > 8 * self._body_size + self._limits.header_bytes:
            self._refuse(400)  # more framing, chunk extensions or trailers than a decent client sends
        elif self._complete:
            if self._overrun:
                self._exchange.keep_alive = False
            self._body_complete()
        return b""

    def _body_complete(self) -> None:
        request, exchange = self._request, self._exchange
        assert request is not None  # noqa: S101 - set by the head
        assert exchange is not None  # noqa: S101
        self._parser = None
        self._complete = True
        self.deadline = _NEVER
        if exchange.open:
            if self._body:
                request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body = []
            if not exchange.answered:
                self._call(self._on_request)
        else:
            self.exchange_ended(exchange.keep_alive)

    def _call(self, handler: Callable[[Request, Exchange], None]) -> None:
        request, exchange = self._request, self._exchange
        assert request is not None  # noqa: S101 - set by the head
        assert exchange is not None  # noqa: S101
        try:
            handler(request, exchange)
        except Exception:
            _log.exception("a request handler failed")
            if exchange.answered:
                exchange.abort()
            else:
                exchange.respond(500)

    # Writing and ending.

    def write(self, data: bytes) -> None:
        """Send bytes (called by the exchange)."""
        self._transport.write(data)

    def unsent_bytes(self) -> int:
        """Return the size of the send buffer."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def may_keep_alive(self) -> bool:
        """Say whether another request may follow the answer that begins now."""
        return not self._connections.draining and (self._complete or 0 <= self._left <= _DISCARD_BYTES)

    def exchange_ended(self, keep_alive: bool) -> None:
        """Go on to the next request, or close (called by the exchange when its answer has ended)."""
        if not self._complete:
            if not keep_alive:
                self._linger()
            return
        self._exchange = self._request = None
        self._complete = False
        self._body = []
        if not keep_alive or self._connections.draining:
            self.deadline = self._time() + _LINGER_SECONDS
            self._lingering = True
            self._transport.close()
            return
        self.deadline = self._time() + self._limits.idle_seconds
        if self._waiting and not self._feeding:
            data, self._waiting = self._waiting, b""
            self._transport.resume_reading()
            self._feed(data)

    def drain(self) -> None:
        """Close now when nothing is under way, else after the answer."""
        if self._exchange is None and not self._lingering:
            self._transport.close()

    def timed_out(self) -> None:
        """End what took too long: 408 for a request half sent, silence for an idle connection, a cut for one that
        doesn't read."""
        self.deadline = _NEVER
        if self._lingering or self._transport.is_closing() or self._transport.get_write_buffer_size():
            self._transport.abort()
        elif self._head or self._exchange is not None:
            self._refuse(408)
        else:
            self._transport.close()

    def _refuse(self, status: int) -> None:
        exchange = self._exchange
        if exchange is None:
            self._exchange = exchange = Exchange(self, head_only=False, keep_alive=False, body_limit=0)
        self._head = bytearray()
        exchange.keep_alive = False
        if exchange.answered:
            self._linger()
        else:
            exchange.respond(status)

    def _linger(self) -> None:
        """Half-close and throw away what still comes: closing at once would reset the connection and lose the
        answer."""
        self._lingering = True
        self._exchange = self._request = self._parser = None
        self._complete = False
        self._body = []
        self._wire_size = 0
        self.deadline = self._time() + _LINGER_SECONDS
        if self._transport.can_write_eof():
            self._transport.write_eof()
