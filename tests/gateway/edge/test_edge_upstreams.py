"""The way to servers: what fails, what is refused to pass, which addresses and certificates are accepted."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.gateway.edge.edge_world import Seen, World, _Recorder, answer, echo
from tests.gateway.rules import rule

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def use(world: World, **changes: Any) -> None:
    world.publish(lambda document: document["servers"][0]["upstream"].update(changes))


def test_a_server_that_is_down_is_a_502_that_says_no_more(world: World) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    use(world, url=f"http://127.0.0.1:{port}/mcp")
    reply = world.call(PING)
    assert reply.status == 502
    assert reply.json()["id"] == 1
    assert str(port) not in reply.body.decode()


def test_a_call_leaves_from_the_edges_address_on_the_servers_network_only(world: World) -> None:
    """Else it would go out by the default route while that network is away, to whoever has its address outside."""
    seen: list[str] = []

    def note(handler: BaseHTTPRequestHandler, request: Seen) -> None:
        seen.append(handler.client_address[0])
        echo(handler, request)

    world.upstream.behaviour = note
    assert world.call(PING).status == 200
    assert seen == ["127.0.0.2"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        outside = probe.getsockname()[0]
    assert not outside.startswith("127."), "this machine has an address beside loopback"
    with socket.create_server((outside, 0)) as elsewhere:
        use(world, url=f"http://{outside}:{elsewhere.getsockname()[1]}/mcp")
        assert world.call(PING).status == 502
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@rule(67)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 407])
def test_redirects_and_refused_credentials_do_not_pass(world: World, status: int) -> None:
    headers = {"Location": world.other.url, "WWW-Authenticate": "Basic realm=x"}
    world.upstream.behaviour = lambda handler, seen: answer(handler, status, b"secret of the server", headers)
    reply = world.call(PING)
    assert reply.status == 502
    assert b"secret" not in reply.body
    assert reply.headers["Location"] is None
    assert reply.headers["WWW-Authenticate"] is None
    assert world.other.requests == []


def test_an_answer_that_takes_too_long_is_a_504_and_dropped(world: World) -> None:
    dropped = threading.Event()

    def slow(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.connection.settimeout(8)
        if handler.connection.recv(1) == b"":
            dropped.set()

    world.upstream.behaviour = slow
    world.publish(lambda document: document["servers"][0]["limits"].update({"answerSeconds": 1}))
    assert world.call(PING).status == 504
    assert dropped.wait(2)


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(world: World) -> None:
    def broken(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(b"3\r\nabc\r\n")
        handler.wfile.flush()
        handler.close_connection = True

    world.upstream.behaviour = broken
    with pytest.raises(Exception, match=r"Incomplete|reset|IncompleteRead"):
        world.call(PING)


@pytest.mark.parametrize(
    "noise",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nMcp-Session-Id: a b\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_what_is_no_proper_answer_is_a_502(world: World, noise: bytes) -> None:
    def behave(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.wfile.write(noise)
        handler.wfile.flush()
        handler.close_connection = True

    world.upstream.behaviour = behave
    assert world.call(PING).status == 502


def test_bytes_behind_an_answer_never_reach_the_next_caller(world: World) -> None:
    poison = b'{"jsonrpc":"2.0","id":1,"result":"poison"}'

    def poisoned(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(poison), poison))

    world.upstream.behaviour = poisoned
    assert world.call(PING).body == b"{}"
    world.upstream.behaviour = echo
    for _ in range(3):
        assert b"poison" not in world.call(PING, subject="sub-bob").body


def test_a_stale_connection_is_tried_once_more_but_a_call_that_began_is_not(world: World) -> None:
    calls = 0

    def once_then_close(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            echo(handler, seen)

    world.upstream.behaviour = once_then_close
    assert [world.call(PING).status for _ in range(2)] == [200, 200]
    assert calls == 3

    def begin_then_close(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        nonlocal calls
        calls += 1
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-")
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    world.upstream.behaviour = begin_then_close
    assert world.call(PING).status == 502
    assert calls == 4


def test_a_tool_is_not_called_twice_because_a_connection_broke(world: World) -> None:
    calls = 0

    def act_then_close(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        nonlocal calls
        if b"tools/call" in seen.body:
            calls += 1
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            echo(handler, seen)

    world.upstream.behaviour = act_then_close
    assert world.call(PING).status == 200
    pay = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay"}}
    assert world.call(pay).status == 502
    assert calls == 1


@rule(19)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0"])
def test_a_public_server_is_not_sought_at_an_inner_address(world: World, host: str) -> None:
    port = world.upstream.server_address[1]
    use(world, url=f"http://{host}:{port}/mcp", reach="public")
    assert world.call(PING).status == 502
    assert world.upstream.requests == []
    assert "no public address" in world.log or "no connection" in world.log
    use(world, url=f"http://{host}:{port}/mcp", reach="allowed")
    if host in ("127.0.0.1", "localhost"):
        assert world.call(PING).status == 200


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name[0].isdigit():
        names = [x509.IPAddress(ipaddress.ip_address(name))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


def test_certificates_and_their_names_are_verified(world: World, tmp_path: Path) -> None:
    pem, key = certificate(tmp_path, "127.0.0.1")
    foreign, _ = certificate(tmp_path, "other.test")
    recorder = _Recorder()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key)
    recorder.socket = context.wrap_socket(recorder.socket, server_side=True)
    port = recorder.server_address[1]
    try:
        for url, ca_file, status in (
            (f"https://127.0.0.1:{port}/mcp", str(pem), 200),
            (f"https://127.0.0.1:{port}/mcp", None, 502),
            (f"https://127.0.0.1:{port}/mcp", str(foreign), 502),
            (f"https://localhost:{port}/mcp", str(pem), 502),
        ):
            use(world, url=url, caFile=ca_file)
            assert world.call(PING).status == status, (url, ca_file)
        assert len(recorder.requests) == 1
    finally:
        recorder.shutdown()
        recorder.server_close()


def test_the_upstreams_path_and_query_are_those_of_the_route(world: World) -> None:
    use(world, url=world.upstream.url + "/v1?tenant=a%20b")
    assert (
        world.request(
            "POST",
            "/mcp-connect/time?tenant=other",
            json.dumps(PING).encode(),
            {"Authorization": f"Bearer {world.token()}", "Content-Type": "application/json"},
        ).status
        == 200
    )
    assert world.upstream.requests[0].path == "/mcp/v1?tenant=a%20b"
