"""The load: MCP sessions over streamable HTTP, each with one call at a time, on uvloop and httptools."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

VERSION = "2025-06-18"
"""A version that every peer speaks."""

ANSWER_SECONDS = 60.0


class LoadError(Exception):
    """A server answered something else than it should have."""


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one request in flight."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self.closed = False
        self._start()

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.status = 0
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has connected."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        """The server has closed the connection."""
        self.closed = True
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("closed"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, from the parser."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        """Part of a body, from the parser."""
        self._body.append(part)

    def on_message_complete(self) -> None:
        """The answer's end, from the parser."""
        self.status = self._parser.get_status_code()
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(b"".join(self._body))

    async def send(self, request: bytes) -> bytes:
        """Send a request and wait for the whole answer's body."""
        assert self._transport
        self._start()
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._waiting, ANSWER_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        if self._transport:
            self._transport.close()


class Session:
    """An MCP session; `headers` go with each request."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._url = urlsplit(url)
        self._connection: Connection | None = None
        self._headers: dict[str, str] = {}
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._extra = self._fixed
        self._next = 1

    async def open(self) -> None:
        """The handshake."""
        info = {"name": "load", "version": "1"}
        params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": info}
        result = await self.request("initialize", params)
        if result.get("protocolVersion") is None:
            raise LoadError(f"initialize answered {result}")
        session = self._headers.get("mcp-session-id")
        self._extra = f"{self._fixed}MCP-Protocol-Version: {result['protocolVersion']}\r\n"
        self._extra += f"Mcp-Session-Id: {session}\r\n" if session else ""
        await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def echo(self) -> None:
        """One tool call; the answer must be the text that was sent."""
        text = f"call {self._next}"
        result = await self.request("tools/call", {"name": "echo", "arguments": {"text": text}})
        if result.get("content") != [{"type": "text", "text": text}]:
            raise LoadError(f"echo answered {result}")

    async def request(self, method: str, params: Mapping[str, object]) -> dict[str, object]:
        """Send a request and return its result."""
        number = self._next
        self._next += 1
        body = await self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        message = json.loads(_last_event(body))
        if message.get("id") != number or "result" not in message:
            raise LoadError(f"{method} answered {message}")
        found: dict[str, object] = message["result"]
        return found

    async def _post(self, message: Mapping[str, object]) -> bytes:
        # Servers close a connection that was idle for some seconds, as the first sessions are while the others open.
        if self._connection is None or self._connection.closed:
            host, port = self._url.hostname or "", self._url.port or 80
            _, self._connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
        content = json.dumps(message, separators=(",", ":")).encode()
        head = (
            f"POST {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nContent-Length: {len(content)}\r\n{self._extra}\r\n"
        )
        body = await self._connection.send(head.encode() + content)
        status, self._headers = self._connection.status, self._connection.headers
        if self._headers.get("connection", "").lower() == "close":
            self._connection.close()
            self._connection = None
        if not 200 <= status < 300:
            raise LoadError(f"{message['method']} answered HTTP {status}: {body[:200]!r}")
        return body

    def close(self) -> None:
        """Close the connection; the session is left to the server."""
        if self._connection:
            self._connection.close()


@dataclass
class Outcome:
    """What a load of some seconds brought."""

    calls: int = 0
    errors: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """A latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")


async def open_sessions(url: str, count: int) -> list[Session]:
    """Open sessions, a few at a time."""
    sessions = [Session(url) for _ in range(count)]
    for start in range(0, count, 8):
        await asyncio.gather(*(session.open() for session in sessions[start : start + 8]))
    return sessions


async def drive(sessions: list[Session], seconds: float) -> Outcome:
    """Every session calls, one call after another, for so many seconds."""
    outcome = Outcome()
    start = time.perf_counter()
    end = start + seconds

    async def call(session: Session) -> None:
        while (before := time.perf_counter()) < end:
            try:
                await session.echo()
            except (LoadError, OSError, TimeoutError):
                outcome.errors += 1
                return
            outcome.latencies.append(time.perf_counter() - before)

    await asyncio.gather(*(call(session) for session in sessions))
    outcome.seconds = time.perf_counter() - start
    outcome.calls = len(outcome.latencies)
    return outcome


def _last_event(body: bytes) -> bytes:
    if body.startswith(b"{"):
        return body
    events = [line[5:] for line in body.splitlines() if line.startswith(b"data:") and len(line) > 6]
    if not events:
        raise LoadError(f"neither JSON nor an event: {body[:200]!r}")
    return events[-1]
