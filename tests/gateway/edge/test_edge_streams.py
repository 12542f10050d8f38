"""Answers as they come: streams, disconnection, slow readers, changes of the document, and the edge's end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.edge.edge_world import HOST, Seen, Signer, World, answer, echo, new_world
from tests.gateway.rules import rule

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


class Source:
    """An upstream's stream that a test feeds event by event; `gone` is set when its connection breaks."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.parts: list[bytes] = []
        self.gone = threading.Event()
        self.ended = False

    def send(self, part: bytes) -> None:
        self.parts.append(part)
        self.go.release()

    def __call__(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.send_response_only(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.connection.settimeout(0.02)
        while not self.ended:
            if self.go.acquire(timeout=0.02):
                part = self.parts.pop(0)
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                handler.wfile.flush()
            try:
                if handler.connection.recv(1) == b"":
                    self.gone.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.gone.set()
                return
        handler.wfile.write(b"0\r\n\r\n")


def open_stream(world: World, method: str = "GET", server: str = "time", **headers: str) -> socket.socket:
    body = json.dumps(PING).encode() if method == "POST" else b""
    lines = [
        f"{method} /mcp-connect/{server} HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {world.token(server)}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
    ]
    connection = socket.create_connection(("127.0.0.1", world.port), timeout=5)
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return connection


def read_until(connection: socket.socket, text: bytes) -> bytes:
    received = b""
    while text not in received:
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


@rule(84, 77)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_events_arrive_while_the_server_still_works(world: World, method: str) -> None:
    source = world.upstream.behaviour = Source()
    with open_stream(world, method) as client:
        head = read_until(client, b"\r\n\r\n").lower()
        assert b"text/event-stream" in head
        assert b"x-accel-buffering: no" in head
        for number in range(3):
            source.send(b"data: %d\n\n" % number)
            assert b"data: %d\n\n" % number in read_until(client, b"\n\n")
        source.send(b": comment\n\n")
        read_until(client, b": comment\n\n")
        source.ended = True
        read_until(client, b"0\r\n\r\n")


@rule(83)
@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
def test_a_client_that_goes_takes_its_request_with_it(world: World, version: str) -> None:
    source = world.upstream.behaviour = Source()
    with open_stream(world, "POST", MCP_Protocol_Version=version, Mcp_Method="ping") as client:
        read_until(client, b"\r\n\r\n")
    assert source.gone.wait(2)


@rule(83)
def test_a_client_that_goes_before_the_answer_begins_takes_its_request_with_it(world: World) -> None:
    gone = threading.Event()

    def silent(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.connection.settimeout(5)
        if handler.connection.recv(1) == b"":
            gone.set()

    world.upstream.behaviour = silent
    client = open_stream(world, "POST")
    for _ in range(100):
        if world.upstream.requests:
            break
        time.sleep(0.02)
    client.close()
    assert gone.wait(2)


@rule(85)
def test_each_stream_gets_its_own_messages(world: World) -> None:
    first, second = Source(), Source()
    sources = iter([first, second])
    world.upstream.behaviour = lambda handler, seen: next(sources)(handler, seen)
    with open_stream(world) as one:
        read_until(one, b"\r\n\r\n")
        with open_stream(world) as two:
            read_until(two, b"\r\n\r\n")
            first.send(b"data: for one\n\n")
            second.send(b"data: for two\n\n")
            assert b"for two" not in read_until(one, b"for one\n\n")
            assert b"for one" not in read_until(two, b"for two\n\n")


@rule(95)
def test_a_client_that_does_not_read_holds_the_server_back(world: World) -> None:
    sent = 0
    stalled = threading.Event()

    def flood(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        nonlocal sent
        handler.send_response_only(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.connection.settimeout(1)
        try:
            while sent < 400 * 1024 * 1024:
                handler.connection.sendall(b"data: " + b"x" * 65536 + b"\n\n")
                sent += 65536
        except OSError:
            stalled.set()

    world.upstream.behaviour = flood
    with open_stream(world) as client:
        read_until(client, b"\r\n\r\n")
        assert stalled.wait(20)
    assert sent < 64 * 1024 * 1024


def test_a_large_answer_arrives_whole(world: World) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":"' + b"x" * 5_000_000 + b'"}'
    world.upstream.behaviour = lambda handler, seen: answer(handler, 200, body)
    assert world.call(PING).body == body


def test_a_change_of_one_server_leaves_the_streams_of_others_open(world: World) -> None:
    source = world.upstream.behaviour = Source()
    with open_stream(world) as client:
        read_until(client, b"\r\n\r\n")
        world.publish(lambda document: document["servers"].pop(1))
        source.send(b"data: still here\n\n")
        read_until(client, b"data: still here\n\n")


@rule(18)
@pytest.mark.parametrize("change", ["server", "subject", "user", "revoked"])
def test_a_stream_ends_when_its_user_loses_access(world: World, change: str) -> None:
    source = world.upstream.behaviour = Source()
    with open_stream(world) as client:
        read_until(client, b"\r\n\r\n")
        changes = {
            "server": lambda document: document["servers"].pop(0),
            "subject": lambda document: document["servers"][0].update({"subjects": ["sub-bob"]}),
            "user": lambda document: document["subjects"].pop("sub-alice"),
            "revoked": lambda document: document["revokedBefore"].update({"sub-alice": int(time.time()) + 5}),
        }
        world.publish(changes[change])
        while client.recv(65536):
            pass
    assert source.gone.wait(2)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda document: document.update({"issuer": ""}),
        lambda document: document.update({"surprise": 1}),
        lambda document: document.pop("sessionKey"),
        lambda document: document["servers"][0].pop("tools"),
        lambda document: document["servers"][0].update({"path": "/mcp-connect/../x"}),
        lambda document: document["servers"][0]["upstream"].update({"headers": {"Host": "evil.example"}}),
        lambda document: document["servers"][0]["upstream"].update({"headers": {"X-A": "a\r\nX-Mcp-User: b"}}),
        lambda document: document["servers"][0]["upstream"].update({"url": "gopher://127.0.0.1/"}),
        lambda document: document["servers"][0]["upstream"].update(
            {"caFile": "/nowhere.pem", "url": "https://a.test/"}
        ),
        lambda document: document["jwks"].update({"keys": []}),
        lambda document: document["servers"].append(document["servers"][0]),
    ],
)
def test_a_bad_document_leaves_the_old_one_in_force(world: World, break_it: object) -> None:
    world.publish(break_it)  # type: ignore[arg-type]
    assert world.call(PING).status == 200
    assert "refused, the one in force stays" in world.log


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    with new_world(tmp_path, "--drain-seconds", "5") as world:
        yield world


def test_the_edge_goes_on_without_its_control_side_and_finds_it_again(own: World) -> None:
    own.control.shutdown()
    own.control.server_close()
    (own.folder / "control.sock").unlink()
    own.control.behaviour = echo
    assert own.call(PING).status == 200
    page = own.request("GET", "/login", headers={"Accept": "text/html"})
    assert page.status == 503
    assert b"<h1>" in page.body
    assert own.request("POST", "/token", b"", {"Accept": "application/json"}).json()["error"] == "service_unavailable"
    assert own.request("GET", "/healthz").status == 200


def test_calls_under_way_end_before_the_edge_does(own: World) -> None:
    source, listening = Source(), Source()
    own.upstream.behaviour = lambda handler, seen: (source if seen.method == "POST" else listening)(handler, seen)
    with open_stream(own, "POST") as call, open_stream(own, "GET") as stream:
        read_until(call, b"\r\n\r\n")
        read_until(stream, b"\r\n\r\n")
        assert own.process is not None
        own.process.terminate()
        assert stream.recv(65536) == b""
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", own.port), timeout=1)
        source.send(b"data: the end\n\n")
        source.ended = True
        read_until(call, b"0\r\n\r\n")
        assert own.process.wait(10) == 0
    assert {record["status"] for record in own.audit(2)} == {200}


def test_workers_share_the_port(tmp_path: Path) -> None:
    with new_world(tmp_path, "--workers", "2") as world:
        for _ in range(40):
            for _ in range(100):
                if (reply := world.call(PING)).status != 503:
                    break
                time.sleep(0.05)
            assert reply.status == 200
        assert len(world.audit(40)) >= 40
        assert len({file.name for file in (tmp_path / "audit").iterdir()}) == 2
        assert world.stop() == 0


def late_body(world: World, change: Callable[[dict[str, Any]], None]) -> int:
    """The status that a connection gets that has made a call and sends a second one whose body comes after a change."""
    body = json.dumps(PING).encode()
    head = (
        f"POST /mcp-connect/time HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {world.token()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", world.port), timeout=5) as connection:
        connection.sendall(head + body)
        assert status(connection) == 200
        connection.sendall(head)
        time.sleep(0.2)
        world.publish(change)
        connection.sendall(body)
        return status(connection)


def status(connection: socket.socket) -> int:
    response = HTTPResponse(connection)
    response.begin()
    response.read()
    return response.status


def test_a_late_body_goes_where_the_new_document_says_and_with_its_credentials(world: World) -> None:
    def move(document: dict[str, Any]) -> None:
        route = next(server for server in document["servers"] if server["id"] == "time")
        route["upstream"] = {**route["upstream"], "url": world.other.url, "headers": {"X-Key": "new"}}

    world.publish(lambda document: document["servers"][0]["upstream"]["headers"].update({"X-Key": "old"}))
    assert late_body(world, move) == 200
    (seen,) = world.other.requests
    assert seen.get("X-Key") == "new"
    assert seen.get("Host") == world.other.url.split("/")[2]


def test_a_late_body_is_refused_when_the_tokens_key_is_gone(world: World) -> None:
    new = {"keys": [Signer("k2").jwk()]}
    assert late_body(world, lambda document: document.update(jwks=new)) == 401
    assert len(world.upstream.requests) == 1
