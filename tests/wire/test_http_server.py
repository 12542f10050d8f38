"""The HTTP server over raw sockets: what it answers, in which framing, and what it refuses."""

# ruff: noqa: E501 - a raw request is read best on one line

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from mcp_wire.http_server import Connections, Exchange, HttpServerProtocol, Limits, Request

LIMITS = Limits(header_bytes=2048, headers=20, body_bytes=1000, header_seconds=0.3, body_seconds=0.3, idle_seconds=0.5)
Handler = Callable[[Request, Exchange], None]


def echo(request: Request, exchange: Exchange) -> None:
    lines = [b"%b %b" % (request.method.encode(), request.target)]
    lines += [b"%b=%b" % header for header in request.headers]
    exchange.respond(200, [(b"content-type", b"text/plain")], b"\n".join([*lines, b"body=" + request.body]))


class Server:
    def __init__(self, port: int, connections: Connections):
        self.port = port
        self.connections = connections

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def talk(self, raw: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes."""
        reader, writer = await self.open()
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer


@asynccontextmanager
async def serving(
    handler: Handler = echo, *, on_head: Handler | None = None, limits: Limits = LIMITS, maximum: int = 100
) -> AsyncIterator[Server]:
    connections = Connections(limits, maximum)
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpServerProtocol(handler, limits, on_head, connections), "127.0.0.1", 0
    )
    try:
        yield Server(server.sockets[0].getsockname()[1], connections)
    finally:
        server.close()
        await connections.drain(0)


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


async def test_answers_and_keeps_the_connection() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        for n in (b"1", b"2"):
            writer.write(b"POST /p?q=" + n + b" HTTP/1.1\r\nHost: a\r\nX-One:  v \r\nContent-Length: 3\r\n\r\nabc")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\ndate: " in head
            assert b"connection" not in head
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            assert body == b"POST /p?q=" + n + b"\nhost=a\nx-one=v\ncontent-length=3\nbody=abc"
        writer.close()


async def test_a_request_cut_into_single_bytes_is_the_same_request() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
    async with serving() as server:
        reader, writer = await server.open()
        writer.get_extra_info("socket").setsockopt(6, 1, 1)
        for i in range(len(raw)):
            writer.write(raw[i : i + 1])
            await asyncio.sleep(0)
        answer = await reader.read()
        assert body_of(answer).endswith(b"body=abc")


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_chunked_body(size: int) -> None:
    body = b"x" * 600
    chunks = b"".join(b"%x;e=1\r\n%b\r\n" % (len(c), c) for c in (body[i : i + size] for i in range(0, 600, size)))
    async with serving() as server:
        answer = await server.talk(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunks
            + b"0\r\nX-Trailer: t\r\n\r\n"
        )
    assert body_of(answer).endswith(b"body=" + body)
    assert b"x-trailer" not in answer


SMUGGLING = {
    "length and chunked": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    "signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "hex length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
    "empty length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc",
    "huge length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
    "gzip coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "coding twice": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding with a tab": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF between headers": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF all along": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "bare CR in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    "control in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "folded line with a tab": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
    "folded first line": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    "space in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "name with a bracket": b"GET / HTTP/1.1\r\nHost: a\r\nX(y: b\r\n\r\n",
    "name beyond ASCII": b"GET / HTTP/1.1\r\nHost: a\r\nX\xc3: b\r\n\r\n",
    "line without a colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\nX: b\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two Authorizations": b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: b\r\nAuthorization: c\r\n\r\n",
    "absolute target": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "target without a slash": b"GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment in the target": b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
    "control in the target": b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "bytes beyond ASCII in the target": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "tunnel": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"FROB / HTTP/1.1\r\nHost: a\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "only empty lines": b"\r\n\r\n",
    "bare LF in a chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "bare LF in a chunk extension": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
    "chunk longer than its size": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "chunk size too large": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "signed chunk size": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "chunk size with 0x": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING)
async def test_rule_94_what_two_readers_could_understand_differently_is_refused(raw: bytes) -> None:
    """Refused, the connection closed, and what follows on it never read as a request."""
    seen: list[bytes] = []

    def handler(request: Request, exchange: Exchange) -> None:
        seen.append(request.target)
        exchange.respond(200)

    async with serving(handler) as server:
        answer = await server.talk(raw + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close\r\n" in answer
    assert seen == []


async def test_other_versions_are_refused() -> None:
    async with serving() as server:
        for line in (b"GET / HTTP/2.0", b"GET /"):
            answer = await server.talk(line + b"\r\nHost: a\r\n\r\n")
            assert answer[9:12] in (b"505", b"400")


async def test_headers_with_an_underscore_are_left_out() -> None:
    async with serving() as server:
        answer = await server.talk(b"GET / HTTP/1.1\r\nHost: a\r\nX_Mcp_User: eve\r\nConnection: close\r\n\r\n")
    assert b"eve" not in answer


async def test_rule_95_head_limits() -> None:
    async with serving() as server:
        long = await server.talk(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000 + b"\r\n\r\n")
        endless = await server.talk(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000)
        many = await server.talk(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X_y: 1\r\n" * 30 + b"\r\n")
    assert long.startswith(b"HTTP/1.1 431 ")
    assert endless.startswith(b"HTTP/1.1 431 ")
    assert many.startswith(b"HTTP/1.1 431 ")


async def test_rule_95_body_limits() -> None:
    async with serving() as server:
        announced = await server.talk(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001)
        chunked = (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"200\r\n" + b"x" * 512 + b"\r\n"
        )
        counted = await server.talk(chunked + b"200\r\n" + b"x" * 512 + b"\r\n0\r\n\r\n")
        extension = await server.talk(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"e" * 200_000
        )
        trailer = await server.talk(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"e" * 200_000
        )
    assert announced.startswith(b"HTTP/1.1 413 ")
    assert counted.startswith(b"HTTP/1.1 413 ")
    assert extension.startswith(b"HTTP/1.1 400 ")
    assert trailer.startswith(b"HTTP/1.1 400 ")


async def test_rule_95_a_large_body_never_fills_the_memory() -> None:
    limits = Limits(body_bytes=100_000)
    async with serving(limits=limits) as server:
        tracemalloc.start()
        for head in (b"Content-Length: 67108864\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n4000000\r\n"):
            reader, writer = await server.open()
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n" + head)
            sender = asyncio.create_task(_pour(writer, 64))
            answer = await asyncio.wait_for(reader.read(), 10)
            sender.cancel()
            assert answer.startswith(b"HTTP/1.1 413 ")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8_000_000


async def _pour(writer: asyncio.StreamWriter, mebibytes: int) -> None:
    block = b"x" * 65_536
    try:
        for _ in range(mebibytes * 16):
            writer.write(block)
            await writer.drain()
    except ConnectionError:
        pass


async def test_rule_95_slow_clients_time_out() -> None:
    async with serving() as server:
        slow_head, slow_body, idle = await asyncio.gather(
            server.talk(b"GET / HTTP/1.1\r\nHo"),
            server.talk(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na"),
            server.talk(b""),
        )
    assert slow_head.startswith(b"HTTP/1.1 408 ")
    assert slow_body.startswith(b"HTTP/1.1 408 ")
    assert idle == b""


async def test_a_header_sent_drop_by_drop_still_times_out() -> None:
    async with serving() as server:
        reader, writer = await server.open()
        writer.write(b"GET / HTTP/1.1\r\n")

        async def drip() -> None:
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        assert (await asyncio.wait_for(reader.read(), 3)).startswith(b"HTTP/1.1 408 ")
        task.cancel()


async def test_pipelined_requests_are_served_in_order_one_at_a_time() -> None:
    running = 0
    tasks: set[asyncio.Task[None]] = set()

    def handler(request: Request, exchange: Exchange) -> None:
        nonlocal running
        running += 1
        assert running == 1

        async def answer() -> None:
            nonlocal running
            await asyncio.sleep(0.01)
            running -= 1
            exchange.respond(200, (), request.target + b";" + request.body)

        tasks.add(asyncio.create_task(answer()))

    raw = b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d" % (i, i) for i in range(9))
    async with serving(handler) as server:
        answer = await server.talk(raw + b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"/%d;%02d" % (i, i) for i in range(9)] + [b"/end;"]


async def test_many_pipelined_requests_answered_at_once() -> None:
    async with serving() as server:
        answer = await server.talk(
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5000 + b"GET / HTTP/1.0\r\n\r\n",
        )
    assert answer.count(b"HTTP/1.1 200 OK") == 5001


async def test_a_request_behind_a_chunked_one_is_dropped_with_the_connection() -> None:
    async with serving() as server:
        answer = await server.talk(
            b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
            b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\ny"
        )
    assert body_of(answer).endswith(b"body=x")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_http_1_0_head_and_continue() -> None:
    async with serving() as server:
        assert b"connection: close" in await server.talk(b"GET / HTTP/1.0\r\n\r\n")
        head = await server.talk(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"content-length: " in head
        assert body_of(head) == b""
        reader, writer = await server.open()
        writer.write(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"x")
        assert (await reader.read()).endswith(b"body=x")
        assert (
            await server.talk(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\nx")
        ).startswith(b"HTTP/1.1 417 ")


async def test_an_offer_to_upgrade_is_served_as_it_is() -> None:
    """Java's HTTP client offers h2c with each request, also with a body."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    async with serving() as server:
        answer = await server.talk(
            b"POST /a HTTP/1.1\r\nHost: a\r\n" + upgrade + b"Content-Length: 1\r\n\r\nx"
            b"GET /b HTTP/1.1\r\nHost: a\r\n" + upgrade + b"\r\n"
            b"POST /c HTTP/1.1\r\nHost: a\r\n" + upgrade + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        )
    assert answer.count(b"HTTP/1.1 200") == 3


async def test_early_answer_keeps_the_connection_for_a_small_body_and_closes_it_for_a_large_one() -> None:
    def on_head(request: Request, exchange: Exchange) -> None:
        if request.get(b"authorization") is None:
            exchange.respond(401, [(b"www-authenticate", b"Bearer")])

    limits = Limits(body_bytes=10_000_000, idle_seconds=0.5)
    async with serving(on_head=on_head, limits=limits) as server:
        small = await server.talk(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
            b"GET /b HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nConnection: close\r\n\r\n"
        )
        large = await server.talk(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 500_000)
    assert [line[:12] for line in small.split(b"\r\n") if line.startswith(b"HTTP/1.1")] == [
        b"HTTP/1.1 401",
        b"HTTP/1.1 200",
    ]
    assert b"hello" not in small
    assert large.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in large


async def test_on_head_can_lower_the_body_limit() -> None:
    def on_head(request: Request, exchange: Exchange) -> None:
        exchange.body_limit = 4

    async with serving(on_head=on_head) as server:
        answer = await server.talk(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_streams_chunked_counted_and_until_close() -> None:
    def handler(request: Request, exchange: Exchange) -> None:
        exchange.start(200, [(b"content-type", b"text/event-stream")], 4 if request.path == b"/counted" else None)
        exchange.write(b"ab")
        exchange.write(b"")
        exchange.write(b"cd")
        exchange.end()

    async with serving(handler) as server:
        chunked = await server.talk(b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        counted = await server.talk(b"GET /counted HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        old = await server.talk(b"GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await server.talk(b"HEAD /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert body_of(chunked) == b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
    assert b"content-length: 4" in counted
    assert body_of(counted) == b"abcd"
    assert body_of(old) == b"abcd"
    assert b"transfer-encoding" not in old
    assert body_of(head) == b""


async def test_a_stream_short_of_its_length_is_cut() -> None:
    def handler(request: Request, exchange: Exchange) -> None:
        exchange.start(200, (), 10)
        exchange.write(b"ab")
        asyncio.get_running_loop().call_later(0.05, exchange.end)

    async with serving(handler) as server:
        reader, writer = await server.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 2)
        assert b"content-length: 10" in answer
        assert body_of(answer) == b"ab"


async def test_the_handler_learns_that_the_client_has_gone() -> None:
    gone = asyncio.Event()

    def handler(request: Request, exchange: Exchange) -> None:
        exchange.on_disconnect = gone.set
        exchange.start(200)

    async with serving(handler) as server:
        reader, writer = await server.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await asyncio.wait_for(gone.wait(), 2)


async def test_back_pressure_reaches_the_handler() -> None:
    held: list[Exchange] = []
    drained = asyncio.Event()

    def handler(request: Request, exchange: Exchange) -> None:
        held.append(exchange)
        exchange.on_drain = drained.set
        exchange.start(200)
        while exchange.writable:
            exchange.write(b"x" * 65_536)

    async with serving(handler) as server:
        reader, writer = await server.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.1)
        assert not held[0].writable
        while not drained.is_set():
            await asyncio.wait_for(reader.read(65_536), 2)
        assert held[0].writable
        writer.close()


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x\r\ny", b"a"), (b"x", b"a\0")])
async def test_a_forged_response_header_is_never_sent(header: tuple[bytes, bytes]) -> None:
    def handler(request: Request, exchange: Exchange) -> None:
        exchange.respond(200, [header], b"secret")

    async with serving(handler) as server:
        answer = await server.talk(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer


async def test_the_cap_on_connections() -> None:
    async with serving(maximum=1) as server:
        first_reader, first = await server.open()
        first.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await first_reader.readuntil(b"\r\n\r\n")
        assert await server.talk(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        first.close()


async def test_drain_closes_idle_connections_and_lets_answers_end() -> None:
    held: list[Exchange] = []

    def handler(request: Request, exchange: Exchange) -> None:
        held.append(exchange)

    async with serving(handler) as server:
        idle_reader, _idle = await server.open()
        reader, writer = await server.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(server.connections.drain(2))
        assert await asyncio.wait_for(idle_reader.read(), 1) == b""
        held[0].respond(200, (), b"done")
        answer = await asyncio.wait_for(reader.read(), 1)
        assert answer.endswith(b"done")
        assert b"connection: close" in answer
        assert await draining
