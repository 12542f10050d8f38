"""A load generator: k connections, each sending its next call when the last one is answered. Prints one JSON object."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop


class Client(asyncio.Protocol):
    """One session: a call at a time, each answer checked to be 200 and whole."""

    def __init__(self, request: bytes, until: float, latencies: list[float]):
        self.request = request
        self.until = until
        self.latencies = latencies
        self.buffer = b""
        self.sent = 0.0
        self.errors = 0
        self.done = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.send()

    def send(self) -> None:
        self.buffer = b""
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer = buffer = self.buffer + data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = buffer[:end].lower()
        at = head.find(b"content-length:")
        if at >= 0:
            if len(buffer) < end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0]):
                return
        elif not buffer.endswith(b"0\r\n\r\n"):
            return
        now = time.perf_counter()
        self.latencies.append(now - self.sent)
        if not buffer.startswith(b"HTTP/1.1 200"):
            self.errors += 1
        if now < self.until:
            self.send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.errors += 1
            self.done.set_result(None)


class Stream(asyncio.Protocol):
    """One stream; notes for each event how long ago it was made (both processes read the same clock)."""

    def __init__(self, request: bytes):
        self.request = request
        self.delays: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter_ns()
        self.delays += [(now - int(part.split(b"\n", 1)[0])) / 1e6 for part in data.split(b"data: ")[1:]]
        if data.endswith(b"0\r\n\r\n") and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the stream ended early"))


def request(host: str, path: str, token: str, body: bytes) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Accept: application/json, text/event-stream",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "User-Agent: python-httpx/0.28.1",
        "Content-Type: application/json",
        "MCP-Protocol-Version: 2025-11-25",
        f"Authorization: Bearer {token}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def quantile(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] if sorted_values else 0.0


async def run(port: int, data: bytes, sessions: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    began = time.perf_counter()
    clients = []
    for _ in range(sessions):
        _, client = await loop.create_connection(lambda: Client(data, began + seconds, latencies), "127.0.0.1", port)
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    took = time.perf_counter() - began
    latencies.sort()
    return {
        "calls": len(latencies),
        "errors": sum(client.errors for client in clients),
        "rps": len(latencies) / took,
        "p50": quantile(latencies, 0.5) * 1000,
        "p95": quantile(latencies, 0.95) * 1000,
        "p99": quantile(latencies, 0.99) * 1000,
    }


async def stream(port: int, data: bytes) -> dict[str, float]:
    _, client = await asyncio.get_running_loop().create_connection(lambda: Stream(data), "127.0.0.1", port)
    await client.done
    delays = sorted(client.delays)
    return {"events": len(delays), "p50": quantile(delays, 0.5), "p99": quantile(delays, 0.99)}


if __name__ == "__main__":
    options = json.loads(sys.stdin.read())
    raw = request(options["host"], options["path"], options["token"], options["body"].encode())
    if options.get("stream"):
        print(json.dumps(uvloop.run(stream(options["port"], raw))))
    else:
        print(json.dumps(uvloop.run(run(options["port"], raw, options["sessions"], options["seconds"]))))
