"""The open connections of a server: one clock for all their time limits, a cap, and an orderly end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_wire.http_server import HttpServerProtocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may use before its request is refused: bytes of the head (431), number of headers (431), bytes of
    the body (413), seconds from a request's first byte to the end of its head (408), for its body (408), and between
    requests (closed)."""

    header_bytes: int = 32_768
    headers: int = 100
    body_bytes: int = 4_194_304
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0


class Connections:
    """Every connection of one server; at most `maximum` at once, further ones are closed unanswered."""

    def __init__(self, limits: Limits, maximum: int = 10_000):
        self._tick = min(1.0, max(0.02, min(limits.header_seconds, limits.body_seconds, limits.idle_seconds) / 4))
        self._open: set[HttpServerProtocol] = set()
        self._maximum = maximum
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: HttpServerProtocol) -> bool:
        """Take a new connection in; false when it must be closed: the cap is reached, or the server is going down."""
        if self.draining or len(self._open) >= self._maximum:
            return False
        self._open.add(connection)
        self._empty.clear()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._sweep)
        return True

    def discard(self, connection: HttpServerProtocol) -> None:
        """Forget a closed connection."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    async def drain(self, seconds: float) -> bool:
        """Close idle connections, let answers under way end for up to `seconds`, cut the rest. True when none had to be
        cut."""
        self.draining = True
        for connection in tuple(self._open):
            connection.drain()
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            for connection in tuple(self._open):
                connection.abort()
            return False
        return True

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each in self._open if each.deadline < now]:
            connection.timed_out()
        self._timer = loop.call_later(self._tick, self._sweep) if self._open else None
