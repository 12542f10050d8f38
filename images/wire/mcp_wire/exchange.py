"""The answer to one request: at once or as a stream, with the back-pressure of the connection."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from mcp_wire.response import Headers, date_line, header_block, status_line

if TYPE_CHECKING:
    from mcp_wire.http_server import HttpServerProtocol

_log = logging.getLogger(__name__)

UNANSWERED, STREAMING, ENDED, GONE = range(4)
_CLOSE_DELIMITED, _CHUNKED, _COUNTED = range(3)


class Exchange:
    """One request's way back. Exactly one of `respond`, or `start` … `end`, or `abort` finishes it.

    Header names are given in lower case, without `content-length`, `transfer-encoding`, `connection` and `date` (a
    given `date` is kept): those belong to this layer. After the client has gone every call is without effect, so that a
    handler needn't ask.

    `on_disconnect` is called once when the client goes before the answer has ended; `on_drain` when `writable` turns
    true again. `body_limit` (bytes) may be lowered while the head is judged (`on_head`).
    """

    __slots__ = (
        "_framing",
        "_head_only",
        "_left",
        "_protocol",
        "_state",
        "body_limit",
        "keep_alive",
        "on_disconnect",
        "on_drain",
    )

    def __init__(self, protocol: HttpServerProtocol, *, head_only: bool, keep_alive: bool, body_limit: int):
        self._protocol = protocol
        self._state = UNANSWERED
        self._framing = _COUNTED
        self._left = 0
        self._head_only = head_only
        self.keep_alive = keep_alive
        self.body_limit = body_limit
        self.on_disconnect: Callable[[], None] | None = None
        self.on_drain: Callable[[], None] | None = None

    @property
    def answered(self) -> bool:
        """Say whether an answer has begun, or can't be given any more."""
        return self._state != UNANSWERED

    @property
    def open(self) -> bool:
        """Say whether this exchange can still carry bytes to the client."""
        return self._state < ENDED

    @property
    def writable(self) -> bool:
        """Say whether the connection takes more now; false while its send buffer is above the high-water mark."""
        return self._protocol.writable

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait in the connection's send buffer, because the client doesn't read."""
        return self._protocol.unsent_bytes() if self._state < ENDED else 0

    def respond(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        """Answer with a whole body, in one write. Raises RuntimeError when the answer has begun, ValueError for a
        forged header."""
        if self._state != UNANSWERED:
            if self._state == GONE:
                return
            raise RuntimeError("the answer has begun")
        bodiless = status in (204, 304)
        length = b"\r\n" if bodiless else b"content-length: %d\r\n\r\n" % len(body)
        self._protocol.write(self._head(status, headers, length) + (b"" if bodiless or self._head_only else body))
        self._finish()

    def start(self, status: int, headers: Headers = (), length: int | None = None) -> None:
        """Begin a streamed answer of `length` bytes, or of unknown length (chunked; to an HTTP/1.0 client until the
        connection ends)."""
        if self._state != UNANSWERED:
            if self._state == GONE:
                return
            raise RuntimeError("the answer has begun")
        if status in (204, 304):
            self._head_only, framing = True, b"\r\n"
        elif length is not None:
            self._left, framing = length, b"content-length: %d\r\n\r\n" % length
        elif self._protocol.http10:
            self._framing, framing, self.keep_alive = _CLOSE_DELIMITED, b"\r\n", False
        else:
            self._framing, framing = _CHUNKED, b"transfer-encoding: chunked\r\n\r\n"
        self._protocol.write(self._head(status, headers, framing))
        self._state = STREAMING

    def write(self, data: bytes) -> None:
        """Send a part of a streamed answer. Raises RuntimeError for more bytes than `start` announced."""
        if self._state != STREAMING:
            if self._state == GONE:
                return
            raise RuntimeError("the answer hasn't begun or has ended")
        if self._head_only or not data:
            return
        if self._framing == _CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._framing == _COUNTED:
            self._left -= len(data)
            if self._left < 0:
                self.abort()
                raise RuntimeError("more bytes than the announced length")
        self._protocol.write(data)

    def end(self) -> None:
        """Finish a streamed answer; one that is short of its announced length is aborted, so that the client sees the
        loss."""
        if self._state != STREAMING:
            if self._state == GONE:
                return
            raise RuntimeError("the answer hasn't begun or has ended")
        if not self._head_only:
            if self._framing == _CHUNKED:
                self._protocol.write(b"0\r\n\r\n")
            elif self._framing == _COUNTED and self._left:
                self.abort()
                return
        self._finish()

    def abort(self) -> None:
        """Cut the connection: the client must not take what it has for a whole answer."""
        if self._state < ENDED:
            self._state = GONE
            self._protocol.abort()

    def disconnected(self) -> None:
        """Take note that the client has gone (called by the connection)."""
        if self._state < ENDED:
            self._state = GONE
            if self.on_disconnect is not None:
                try:
                    self.on_disconnect()
                except Exception:
                    _log.exception("a disconnect handler failed")

    def _head(self, status: int, headers: Headers, framing: bytes) -> bytes:
        block = header_block(headers)
        if self.keep_alive:
            self.keep_alive = self._protocol.may_keep_alive()
        connection = b"" if self.keep_alive else b"connection: close\r\n"
        if self.keep_alive and self._protocol.http10:
            connection = b"connection: keep-alive\r\n"
        date = b"" if block.find(b"date: ") >= 0 else date_line()
        return b"".join((status_line(status), block, date, connection, framing))

    def _finish(self) -> None:
        self._state = ENDED
        self._protocol.exchange_ended(self.keep_alive)
