"""The client's pool: reuse, bounds, giving up, pressure, and requests that can't be forged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from mcp_wire.http_client import (
    AddressRefused,
    NoConnection,
    Pool,
    Target,
    TooManyConnections,
    UpstreamError,
    request_head,
)


class Answer:
    """Collects one answer; `ended` holds an error if it failed."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.ended: asyncio.Future[UpstreamError | None] = asyncio.get_running_loop().create_future()

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_read_end(self) -> None:
        pass

    def on_end(self) -> None:
        self.ended.set_result(None)

    def on_failure(self, error: UpstreamError) -> None:
        self.ended.set_result(error)


class Upstream:
    """A server that answers each request's head with the next of `answers`, and counts connections."""

    def __init__(self, *answers: bytes, close: bool = False):
        self.answers = list(answers)
        self.close = close
        self.connections = 0
        self.lost = asyncio.Event()
        self.server: asyncio.Server

    async def __aenter__(self) -> int:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self.answers.pop(0) if self.answers else b"")
                await writer.drain()
                if self.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.lost.set()
        writer.close()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = request_head(b"GET", b"/", [(b"host", b"h")])


async def ask(pool: Pool) -> Answer:
    answer = Answer()
    pool.send(GET, answer)
    await answer.ended
    await asyncio.sleep(0)
    return answer


async def test_a_connection_is_used_again() -> None:
    upstream = Upstream(OK, b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, OK)
    async with upstream as port:
        pool = Pool(Target("127.0.0.1", port))
        answers = [await ask(pool) for _ in range(3)]
        assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok")] * 3
        assert upstream.connections == 1
        pool.shut()


async def test_without_its_own_address_nothing_leaves() -> None:
    upstream = Upstream(OK)
    async with upstream as port:
        away = await ask(Pool(Target("127.0.0.1", port, source="192.0.2.7")))
        assert isinstance(away.ended.result(), NoConnection)
        assert upstream.connections == 0
        there = await ask(Pool(Target("127.0.0.1", port, source="127.0.0.9")))
        assert (there.status, upstream.connections) == (200, 1)


async def test_a_connection_that_was_idle_for_long_is_not() -> None:
    upstream = Upstream(OK, OK)
    async with upstream as port:
        pool = Pool(Target("127.0.0.1", port), idle_seconds=0.05)
        await ask(pool)
        await asyncio.sleep(0.1)
        pool.expire()
        await asyncio.wait_for(upstream.lost.wait(), 2)
        await ask(pool)
        assert upstream.connections == 2


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    upstream = Upstream(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True)
    async with upstream as port:
        answer = await ask(Pool(Target("127.0.0.1", port)))
        assert (answer.status, answer.body, answer.ended.result()) == (200, b"all of it", None)


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", b"HTTP/1.1 200 OK\r\nconte"])
async def test_an_answer_that_breaks_off_is_a_failure(text: bytes) -> None:
    async with Upstream(text, close=True) as port:
        answer = await ask(Pool(Target("127.0.0.1", port)))
        assert isinstance(answer.ended.result(), UpstreamError)


async def test_no_more_connections_than_the_bound() -> None:
    async with Upstream(b"", b"") as port:
        pool = Pool(Target("127.0.0.1", port), max_connections=1)
        waiting = Answer()
        call = pool.send(GET, waiting)
        assert isinstance((await ask(pool)).ended.result(), TooManyConnections)
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.sleep(0.05)
        assert not waiting.ended.done()


async def test_giving_up_closes_the_connection() -> None:
    upstream = Upstream(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    async with upstream as port:
        call = Pool(Target("127.0.0.1", port)).send(GET, Answer())
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.wait_for(upstream.lost.wait(), 2)


async def test_pausing_holds_the_answer_back() -> None:
    size = 8 * 1024 * 1024
    upstream = Upstream(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
    async with upstream as port:
        answer = Answer()
        call = Pool(Target("127.0.0.1", port)).send(GET, answer)
        call.pause()
        await asyncio.sleep(0.2)
        held = len(answer.body)
        assert held < size
        call.resume()
        await asyncio.wait_for(answer.ended, 5)
        assert len(answer.body) == size


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_a_public_target_never_leads_inside(host: str) -> None:
    upstream = Upstream(OK)
    async with upstream as port:
        answer = await ask(Pool(Target(host, port, public=True)))
        assert isinstance(answer.ended.result(), AddressRefused)
        assert upstream.connections == 0


async def test_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers with a public address first and an inner one after gains nothing."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []
    connected: list[str] = []

    async def resolve(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        address = "203.0.112.1" if len(asked) == 1 else "127.0.0.1"
        return [(2, 1, 6, "", ("10.0.0.1", port)), (2, 1, 6, "", (address, port))]

    async def connect(make: Callable[[], object], host: str, port: int, **_: object) -> None:
        connected.append(host)
        raise ConnectionRefusedError(host)

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "create_connection", connect)
    await ask(Pool(Target("rebinding.test", 443, public=True)))
    assert asked == ["rebinding.test"]
    assert connected == ["203.0.112.1"]


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (b"/", (b"x", b"a\r\nHost: evil")),
        (b"/", (b"x", b"a\nb")),
        (b"/", (b"x\r", b"a")),
        (b"/ HTTP/1.1\r\nX: y", (b"x", b"a")),
        (b"/a b", (b"x", b"a")),
        (b"/", (b"x", b"a\0")),
    ],
)
def test_a_request_that_could_hold_another_is_not_built(target: bytes, header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="CR, LF"):
        request_head(b"GET", target, [header])


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 50_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: " + b"y" * 200_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"y" * 200_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10_000,
    ],
    ids=["head", "trailers", "a trailer", "a chunk's extension", "interim answers"],
)
async def test_a_server_cannot_fill_the_memory_with_what_is_no_body(text: bytes) -> None:
    async with Upstream(text) as port:
        answer = Answer()
        Pool(Target("127.0.0.1", port)).send(GET, answer)
        assert isinstance(await asyncio.wait_for(answer.ended, 2), UpstreamError)


async def test_a_pool_that_was_shut_opens_no_connection_for_a_request_that_met_a_stale_one() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        pool = Pool(Target("127.0.0.1", int(server.sockets[0].getsockname()[1])))
        await ask(pool)
        answer = Answer()
        pool.send(GET, answer, repeatable=True)
        pool.shut()
        assert isinstance(await asyncio.wait_for(answer.ended, 5), NoConnection)
    assert connections == 1


async def test_a_connection_that_is_refused_is_told_from_one_that_finds_no_way() -> None:
    async with Upstream(OK) as port:
        pass
    for host, refused in (("127.0.0.1", True), ("127.255.255.255", False)):
        answer = Answer()
        Pool(Target(host, port)).send(GET, answer)
        error = await asyncio.wait_for(answer.ended, 5)
        assert isinstance(error, NoConnection)
        assert error.refused is refused
