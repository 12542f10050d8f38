"""A head that a connection sends again is known without parsing, and means the same as if it were parsed."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from mcp_wire.head import last_head
from mcp_wire.http_server import Connections, Exchange, HttpServerProtocol, Limits
from mcp_wire.request import Request

HEAD = b"POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\ncontent-Length: %b\r\nAuthorization: Bearer x\r\n\r\n"


async def test_requests_with_the_same_head_have_their_own_length_and_body() -> None:
    seen: list[tuple[object, list[tuple[bytes, bytes]], bytes, bytes | None]] = []

    def handle(request: Request, exchange: Exchange) -> None:
        seen.append((request.head, list(request.headers), request.body, request.get(b"content-length")))
        exchange.respond(200, (), b"ok")

    limits = Limits()
    connections = Connections(limits)
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpServerProtocol(handle, limits, None, connections), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    bodies = [b"x" * 5, b"", b"y" * 12345, b"z"]
    for body in bodies:
        writer.write(HEAD % str(len(body)).encode() + body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await reader.readexactly(2)
    assert [(body, length) for _, _, body, length in seen] == [(body, str(len(body)).encode()) for body in bodies]
    assert len({id(head) for head, _, _, _ in seen}) == 1
    assert all(dict(headers)[b"x-a"] == b"1" for _, headers, _, _ in seen)
    # Another head, and a length that is none: both are parsed, and the second is refused.
    writer.write((HEAD % b"0").replace(b"X-A: 1", b"X-A: 2"))
    await reader.readuntil(b"ok")
    assert dict(seen[-1][1])[b"x-a"] == b"2"
    assert seen[-1][0] is not seen[0][0]
    writer.write(HEAD.replace(b"X-A: 1", b"X-A: 2") % b"0\r\nTransfer-Encoding: chunked")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400")
    writer.close()
    server.close()


def request_of(head: bytes) -> Request:
    lines = head.rstrip(b"\r\n").split(b"\r\n")[1:]
    pairs = [tuple(part.strip() for part in line.split(b":", 1)) for line in lines]
    return Request("POST", b"/a?b", [(name.lower(), value) for name, value in pairs], "peer")


@given(st.binary(max_size=30), st.binary(max_size=3))
def test_only_digits_may_differ(value: bytes, tail: bytes) -> None:
    remembered = last_head(HEAD % b"5", request_of(HEAD % b"5"), keep_alive=True)
    assert remembered is not None
    data = HEAD % value + tail
    found = remembered.repeated(data, len(data) - len(tail))
    digits = value.strip(b" \t")
    assert (found is not None) == (digits.isdigit() and len(digits) <= 15)
    if found is not None:
        assert found.get(b"content-length") == digits


@given(st.integers(0, len(HEAD % b"5") - 1), st.integers(0, 255))
def test_any_other_byte_that_differs_is_another_head(position: int, byte: int) -> None:
    head = HEAD % b"5"
    remembered = last_head(head, request_of(head), keep_alive=True)
    assert remembered is not None
    changed = bytearray(head)
    changed[position] = byte
    found = remembered.repeated(bytes(changed), len(changed))
    at_length = head.index(b": 5") + 1 <= position <= head.index(b": 5") + 2
    assert found is None or bytes(changed) == head or at_length


def test_a_head_whose_meaning_is_more_than_its_bytes_is_not_remembered() -> None:
    for extra in (b"Expect: 100-continue", b"Upgrade: h2c"):
        head = (HEAD % b"5").replace(b"X-A: 1", extra)
        assert last_head(head, request_of(head), keep_alive=True) is None
