"""Carries one answer from an upstream to a client as it comes, and pressure and disconnection the other way."""

from __future__ import annotations

import time
from typing import Protocol

from mcp_wire.exchange import Exchange
from mcp_wire.http_client import Call, Pool, UpstreamError
from mcp_wire.http_server import HttpServerProtocol
from mcp_wire.response import Headers

from mcp_gateway.edge.answers import Answer


class Wire(HttpServerProtocol):
    """A client's connection that holds back what is written while it is corked, and sends it in one write."""

    _corked: list[bytes] | None = None

    def cork(self) -> None:
        """Hold back what is written from now on."""
        if self._corked is None:
            self._corked = []

    def uncork(self) -> None:
        """Send what was held back."""
        corked, self._corked = self._corked, None
        if corked:
            super().write(corked[0] if len(corked) == 1 else b"".join(corked))

    def write(self, data: bytes) -> None:
        """Send, or hold back."""
        if self._corked is None:
            super().write(data)
        else:
            self._corked.append(data)

    def exchange_ended(self, keep_alive: bool) -> None:
        """Send what was held back before the connection may be closed."""
        self.uncork()
        super().exchange_ended(keep_alive)

    def abort(self) -> None:
        """Cut the connection: what was held back is part of an answer that won't be whole."""
        self._corked = None
        super().abort()


class Filter(Protocol):
    """Changes an answer on its way; raises ValueError for one that it can't read."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece, give what may pass now."""

    def finish(self) -> bytes:
        """Give what is left at the answer's end."""


class Relay:
    """One exchange with an upstream. Subclasses say which headers pass, what failures look like and what is recorded.

    `deadline` (monotonic seconds) is that of the first byte, then of the next one; whoever holds the relays calls
    `timed_out` when it is past.
    """

    __slots__ = (
        "active",
        "answer_bytes",
        "body",
        "call",
        "deadline",
        "exchange",
        "filter",
        "held",
        "holds",
        "idle_seconds",
        "status",
        "wire",
    )

    def __init__(
        self, exchange: Exchange, wire: Wire, active: set[Relay], *, answer_seconds: float, idle_seconds: float
    ):
        self.exchange = exchange
        self.wire = wire
        self.active = active
        self.deadline = time.monotonic() + answer_seconds
        self.idle_seconds = idle_seconds
        self.call: Call | None = None
        self.filter: Filter | None = None
        self.status = 0
        self.holds = True
        self.held: tuple[Headers, int] | None = None
        self.body = b""
        self.answer_bytes = 0

    def send(self, pool: Pool, request: bytes, *, repeatable: bool, head_only: bool = False) -> None:
        """Send the request; everything else follows from the answer. `repeatable` is as in `Pool.send`."""
        self.active.add(self)
        self.holds = not head_only
        self.exchange.on_disconnect = self.disconnected
        call = pool.send(request, self, head_only=head_only, repeatable=repeatable)
        if self in self.active and call.sink is not None:
            self.call = call

    # What subclasses say.

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> Headers | Answer:
        """The headers that the client gets, or what it gets instead of this answer."""
        raise NotImplementedError

    def failure(self, error: UpstreamError | None) -> Answer:
        """What the client gets when the upstream failed, or (None) took too long."""
        raise NotImplementedError

    def finished(self, reason: str | None) -> None:
        """Record the end; `reason` when the answer didn't come whole."""

    # mcp_wire.http_client.Sink

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin the client's answer."""
        self.deadline = time.monotonic() + self.idle_seconds
        passed = self.head(status, headers)
        if isinstance(passed, Answer):
            self.replace(passed)
            return
        self.status = status
        length = None
        if self.filter is None:
            length = next((int(value) for name, value in headers if name == b"content-length"), None)
        if length is not None and self.holds:
            self.held = passed, length
        else:
            self.wire.cork()
            self.exchange.start(status, passed, length)

    def on_data(self, data: bytes) -> None:
        """Pass a piece on."""
        if self.held is not None:
            if len(data) == self.held[1]:
                self.body = data
                return
            self._let_go()
        self.wire.cork()
        self.deadline = time.monotonic() + self.idle_seconds
        if self.filter is not None:
            try:
                data = self.filter.feed(data)
            except ValueError:
                self.cut("an answer that can't be filtered")
                return
        self.answer_bytes += len(data)
        self.exchange.write(data)

    def on_read_end(self) -> None:
        """Send what one read brought, in one write; stop reading while the client doesn't."""
        if self.held is not None:
            self._let_go()
        self.wire.uncork()
        if not self.exchange.writable and self.call is not None:
            self.exchange.on_drain = self.drained
            self.call.pause()

    def on_end(self) -> None:
        """End the client's answer."""
        if self.held is not None:
            self.answer_bytes = len(self.body)
            self.done(None)
            self.exchange.respond(self.status, self.held[0], self.body)
            return
        if self.filter is not None:
            try:
                rest = self.filter.finish()
            except ValueError:
                self.cut("an answer that can't be filtered")
                return
            self.answer_bytes += len(rest)
            self.exchange.write(rest)
        self.done(None)
        self.exchange.end()

    def on_failure(self, error: UpstreamError) -> None:
        """Answer in the upstream's place, or cut an answer that can't be completed."""
        self.give_up(self.failure(error))

    # What happens from the client's side, or by the clock.

    def drained(self) -> None:
        """Read on: the client has taken what there was."""
        if self.call is not None:
            self.call.resume()

    def disconnected(self) -> None:
        """Drop the upstream's request: nobody waits for its answer."""
        self._cancel()
        self.done("client went away")

    def timed_out(self) -> None:
        """Give up an answer that didn't begin, or a stream that fell silent."""
        self._cancel()
        self.give_up(self.failure(None))

    def cut(self, reason: str) -> None:
        """End the exchange at once: its caller may not have the answer any more."""
        self._cancel()
        self.done(reason)
        self.exchange.abort()

    def replace(self, answer: Answer) -> None:
        """Answer for the upstream, whose own answer must not pass."""
        self._cancel()
        self.status = answer.status
        self.done(answer.reason)
        self.exchange.respond(answer.status, answer.headers, answer.body)

    def give_up(self, answer: Answer) -> None:
        """Answer for the upstream if its answer hasn't begun, else cut what has begun."""
        if self.exchange.answered:
            self.done(answer.reason)
            self.exchange.abort()
        else:
            self.replace(answer)

    def done(self, reason: str | None) -> None:
        """Record the end, once."""
        if self in self.active:
            self.active.discard(self)
            self.call = None
            self.exchange.on_disconnect = self.exchange.on_drain = None
            self.finished(reason)

    def _let_go(self) -> None:
        """Begin an answer that was held back because it might have come whole in one read."""
        if self.held is not None:
            headers, length = self.held
            self.held = None
            self.wire.cork()
            self.exchange.start(self.status, headers, length)
            self.answer_bytes += len(self.body)
            self.exchange.write(self.body)

    def _cancel(self) -> None:
        if self.call is not None:
            self.call.cancel()
