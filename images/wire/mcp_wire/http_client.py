"""An HTTP/1.1 client for a proxy: pooled connections, answers handed on as they arrive, with back-pressure.

It follows no redirect, keeps no cookie and decodes no content. A request's head is built by `request_head`, which
refuses what could end a line early. The connections themselves are in `client_connection`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from mcp_wire.address import is_public
from mcp_wire.client_connection import (
    AddressRefused,
    Call,
    Connection,
    NoConnection,
    Sink,
    TooManyConnections,
    UpstreamError,
)

__all__ = [
    "AddressRefused",
    "Call",
    "NoConnection",
    "Pool",
    "Sink",
    "Target",
    "TooManyConnections",
    "UpstreamError",
    "request_head",
    "tls_context",
]

MAX_CONNECTIONS = 1024
IDLE_SECONDS = 4.0
"""Kept shorter than the keep-alive of common servers (uvicorn and Node: 5 s), so that they seldom close first."""
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where connections go: `host` and `port`, or the Unix socket `path`; over TLS when `tls` holds a context.

    `public` demands that every connection goes to a public address: the one that was checked is the one connected to.
    `source` is the address of this machine to connect from: where it isn't there, no connection is made.
    """

    host: str
    port: int = 0
    path: str | None = None
    tls: ssl.SSLContext | None = None
    public: bool = False
    source: str | None = None


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """A context that verifies certificate and name, against the system's authorities or those in `ca_file`."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def request_head(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a request's head; raises ValueError for anything that could end a line early."""
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % pair for pair in headers)]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head or b" " in target:
        raise ValueError("a request header holds CR, LF or NUL")
    return head + b"\r\n\r\n"


class Pool:
    """Connections to one target: the one used last is used next, so that the others may age and be closed."""

    def __init__(
        self,
        target: Target,
        *,
        max_connections: int = MAX_CONNECTIONS,
        idle_seconds: float = IDLE_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ):
        self.target = target
        self._connect_seconds = connect_seconds
        self._max = max_connections
        self._idle_seconds = idle_seconds
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._shut = False

    def send(self, request: bytes, sink: Sink, *, head_only: bool = False, repeatable: bool = False) -> Call:
        """Send `request` (head and body) and return the call; `head_only` for HEAD, whose answer has no body.

        A `repeatable` request is sent once more after it met a connection that the server was closing. The server may
        have acted on the first, so what isn't idempotent must not be (RFC 9110 section 9.2.2). Failures arrive at the
        sink, never as exceptions, and maybe before this returns.
        """
        call = Call(self, request, sink, head_only=head_only, repeatable=repeatable)
        call.started = now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and now - connection.idle_since < self._idle_seconds:
                connection.reused = True
                connection.send(call)
                return call
            connection.close()
        self.open_for(call)
        return call

    def open_for(self, call: Call) -> None:
        """Open a connection for a call; fails it when the pool was shut: another may be at that place by now."""
        if self._shut:
            call.fail(NoConnection("the upstream is no longer in use"))
            return
        if len(self._open) + self._opening >= self._max:
            call.fail(TooManyConnections(f"all {self._max} connections to the upstream are in use"))
            return
        self._opening += 1
        task = asyncio.get_running_loop().create_task(self._open_for(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer has ended for the next call."""
        if self._shut or connection.closed:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """Know that a connection is gone."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def expire(self) -> None:
        """Close what has been idle for too long; call this about once a second."""
        oldest = time.monotonic() - self._idle_seconds
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().close()

    def shut(self) -> None:
        """Close idle connections now and the others when their answers end."""
        self._shut = True
        while self._idle:
            self._idle.pop().close()

    async def _open_for(self, call: Call) -> None:
        try:
            async with asyncio.timeout(self._connect_seconds):
                connection = await self._connect()
        except UpstreamError as error:
            call.fail(error)
        except TimeoutError:
            call.fail(NoConnection(f"the upstream accepted no connection within {self._connect_seconds:.0f} s"))
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            call.fail(NoConnection(f"no connection to the upstream: {error}", refused=refused))
        else:
            self._open.add(connection)
            if call.sink is None:
                # Given up while the connection was being made; the next call may have it.
                self.give_back(connection)
            else:
                connection.send(call)
                if call._paused:
                    connection.pause()
        finally:
            self._opening -= 1

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        target = self.target
        if target.path is not None:
            return (await loop.create_unix_connection(lambda: Connection(self), target.path))[1]
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = dict.fromkeys(str(info[4][0]) for info in found)
        if target.public:
            addresses = {address: None for address in addresses if is_public(address)}
        failure: OSError = AddressRefused(f"{target.host} has no public address")
        # The address itself is connected to, never the name again: a second look-up could say something else.
        for address in addresses:
            try:
                if target.source is not None:
                    return await self._connect_on_link(target.source, address)
                return (
                    await loop.create_connection(
                        lambda: Connection(self),
                        address,
                        target.port,
                        ssl=target.tls,
                        server_hostname=target.host if target.tls is not None else None,
                    )
                )[1]
            except OSError as error:
                failure = error
        raise failure

    async def _connect_on_link(self, source: str, address: str) -> Connection:
        """Connect from `source` to a neighbour on its network, never by way of a router.

        The source alone isn't enough: between the moment when an interface has its address and the one when it is up,
        the default route would take the call elsewhere. SO_DONTROUTE (socket(7)) admits neighbours only.
        """
        loop, target = asyncio.get_running_loop(), self.target
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        link = socket.socket(family, socket.SOCK_STREAM)
        try:
            link.setblocking(False)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
            link.bind((source, 0))
            await loop.sock_connect(link, (address, target.port))
            name = target.host if target.tls is not None else None
            return (
                await loop.create_connection(lambda: Connection(self), sock=link, ssl=target.tls, server_hostname=name)
            )[1]
        except BaseException:
            link.close()
            raise
