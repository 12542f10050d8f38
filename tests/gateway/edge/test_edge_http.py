"""How a request is spelt: hosts, origins, paths, headers, framing, limits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.gateway.edge.edge_world import HOST, ISSUER, World, answer
from tests.gateway.rules import rule

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
BODY = json.dumps(PING).encode()


@rule(73)
@pytest.mark.parametrize("path", ["/mcp-connect/time", "/oauth/authorize", "/", "/mcp-connect/nothing"])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ISSUER}.evil.example", "http://gateway.test"])
def test_a_foreign_origin_is_refused_everywhere(world: World, path: str, method: str, origin: str) -> None:
    headers = {"Origin": origin, "Authorization": f"Bearer {world.token()}", "Content-Type": "application/json"}
    reply = world.request(method, path, BODY if method == "POST" else None, headers)
    assert reply.status == 403
    assert "evil" not in reply.body.decode() + str(reply.headers)
    assert world.upstream.requests == []
    assert world.control.requests == []


@rule(73)
def test_an_allowed_origin_may_read_the_answer(world: World) -> None:
    reply = world.call(PING, headers={"Origin": ISSUER})
    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] == ISSUER
    refused = world.request("POST", "/mcp-connect/time", BODY, {"Origin": ISSUER})
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, ISSUER)
    preflight = world.request("OPTIONS", "/mcp-connect/time", headers={"Origin": ISSUER})
    assert preflight.status == 204
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert world.call(PING).headers["Access-Control-Allow-Origin"] is None


@rule(74)
@pytest.mark.parametrize("path", ["/mcp-connect/time", "/.well-known/oauth-authorization-server", "/"])
@pytest.mark.parametrize(
    "host", ["evil.example", "gateway.test", "gateway.test:8766", f"{HOST}.evil.example", "127.0.0.1"]
)
def test_an_unknown_host_is_not_served(world: World, path: str, host: str) -> None:
    headers = {"Authorization": f"Bearer {world.token()}", "X-Forwarded-Host": "evil.example"}
    reply = world.request("POST", path, BODY, headers, host=host)
    assert reply.status == 421
    assert "evil" not in reply.body.decode() + str(reply.headers)
    assert world.control.requests == []


@rule(74)
def test_the_challenge_comes_from_configuration(world: World) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Forwarded-Proto": "gopher"}
    reply = world.request("POST", "/mcp-connect/time", BODY, headers)
    assert reply.status == 401
    assert "evil" not in str(reply.headers) + reply.body.decode()
    assert world.request("POST", "/mcp-connect/time", BODY, host=HOST.upper()).status == 401


@rule(96)
@pytest.mark.parametrize(
    "path",
    [
        "/mcp-connect/time/",
        "/mcp-connect//time",
        "//mcp-connect/time",
        "/mcp-connect/./time",
        "/mcp-connect/x/../time",
        "/mcp-connect/%74ime",
        "/mcp-connect/time%2f..%2fnotes",
        "/mcp-connect/%2e%2e/mcp-connect/time",
        "/mcp-connect/time;x=1",
        "/mcp-connect/time%00",
        "/mcp-connect/time%20",
        "/mcp-connect\\time",
        "/mcp-connect/..\\time",
        "/MCP-CONNECT/time",
        "/mcp-connect/Time",
        "/mcp-connect/",
        "/mcp-connect",
        "/internal/edge",
        "/internal",
        "/Internal/edge",
        "//internal/edge",
        "/./internal/edge",
        "/x/../internal/edge",
        "/%69nternal/edge",
        "/internal%2fedge",
        "/..;/internal/edge",
        "/x/%2e%2e/internal/edge",
    ],
)
def test_a_path_has_one_reading(world: World, path: str) -> None:
    for method in ("POST", "GET"):
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {world.token()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n"
        )
        status = world.raw(head.encode() + BODY)[9:12]
        if path == "/MCP-CONNECT/time":
            assert [seen.path for seen in world.control.requests] == [path] * len(world.control.requests)
        else:
            assert status in (b"404", b"400")
            assert world.control.requests == []
    assert world.upstream.requests == []
    assert world.other.requests == []


@rule(96)
@pytest.mark.parametrize("path", [b"/mcp-connect/t\xc0\xaeme", "/mcp-connect/․․/time".encode(), b"/mcp-connect/time\0"])
def test_bytes_that_are_no_path_are_refused(world: World, path: bytes) -> None:
    reply = world.raw(b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (path, HOST.encode()))
    assert reply[9:12] in (b"400", b"404")
    assert world.control.requests == []


@rule(93)
def test_nothing_of_the_client_that_servers_trust_passes(world: World) -> None:
    forged = {
        "X-Mcp-User": "sub-bob",
        "x-mcp-client": "forged",
        "X_Mcp_User": "sub-bob",
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Host": "forged.example",
        "X-Forwarded-Prefix": "forged",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X-User": "forged",
        "X-User-Id": "forged",
        "X-Auth-Request-Email": "forged",
        "Remote-User": "forged",
        "REMOTE_USER": "forged",
        "Cookie": "forged=1",
        "Proxy-Authorization": "Basic forged",
        "X-Anything": "forged",
        "Host2": "forged",
        "TE": "trailers",
        "Upgrade": "forged",
        "Mcp_Session_Id": "forged",
        "Connection": "keep-alive, Mcp-Param-Hop",
        "Mcp-Param-Hop": "forged",
    }
    assert world.call(PING, headers=forged).status == 200
    seen = world.upstream.requests[0]
    assert "forged" not in str(seen.headers)
    assert "6.6.6.6" not in str(seen.headers)
    names = [name.lower() for name, _ in seen.headers]
    assert names.count("x-mcp-user") == 1
    assert seen.get("x-mcp-user") == "sub-alice"
    assert not {"te", "upgrade", "proxy-authorization", "connection", "cookie"} & set(names)


@rule(93)
def test_nothing_of_a_server_acts_on_the_gateways_origin(world: World) -> None:
    bad = {
        "Content-Type": "application/json",
        "Set-Cookie": "session=forged",
        "Clear-Site-Data": '"*"',
        "WWW-Authenticate": 'Bearer resource_metadata="https://evil.example"',
        "Access-Control-Allow-Origin": "*",
        "Location": "https://evil.example",
        "Refresh": "0;url=https://evil.example",
        "X-Mcp-User": "forged",
    }
    world.upstream.behaviour = lambda handler, seen: answer(handler, 200, b'{"jsonrpc":"2.0","id":1,"result":{}}', bad)
    reply = world.call(PING)
    assert reply.status == 200
    assert {name.lower() for name in reply.headers} == {
        "content-type",
        "x-content-type-options",
        "date",
        "content-length",
    }


SMUGGLED = {
    "both framings": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length list": b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": b"Content-Length: +5\r\n\r\nhello",
    "folded": b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"X-A: b\nX-B: c\r\nContent-Length: 0\r\n\r\n",
    "bare CR": b"X-A: b\rX-B: c\r\nContent-Length: 0\r\n\r\n",
    "NUL": b"X-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "space before colon": b"Content-Length : 0\r\n\r\n",
    "other coding": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding in disguise": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"Host: evil.example\r\nContent-Length: 0\r\n\r\n",
    "two tokens": b"Authorization: Bearer x\r\nAuthorization: Bearer y\r\nContent-Length: 0\r\n\r\n",
}


@rule(94)
@pytest.mark.parametrize("kind", SMUGGLED)
def test_what_two_servers_frame_differently_is_refused_and_the_connection_closed(world: World, kind: str) -> None:
    head = f"POST /mcp-connect/time HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n".encode()
    follow = f"GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    reply = world.raw(head + SMUGGLED[kind] + follow)
    assert reply.startswith(b"HTTP/1.1 400")
    assert reply.count(b"HTTP/1.1 ") == 1
    assert world.control.requests == []
    assert world.upstream.requests == []


@rule(95)
def test_a_body_above_the_limit_is_refused_and_not_held(world: World) -> None:
    assert world.process is not None
    status = Path(f"/proc/{world.process.pid}/status")

    def resident() -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1])

    before = resident()
    size = 64 * 1024 * 1024
    head = (
        f"POST /mcp-connect/time HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {world.token()}\r\n"
    ).encode()
    known = world.raw(head + b"Content-Length: %d\r\n\r\n" % size)
    assert known.startswith(b"HTTP/1.1 413")
    chunk = b"%x\r\n%b\r\n" % (65536, b"x" * 65536)
    unknown = world.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 40)
    assert unknown.startswith(b"HTTP/1.1 413")
    for _ in range(5):
        anonymous = f"POST /mcp-connect/time HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode()
        assert world.raw(anonymous + b"x" * 100_000).startswith(b"HTTP/1.1 401")
    control = f"POST /token HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 70000\r\n\r\n".encode()
    assert world.raw(control).startswith(b"HTTP/1.1 413")
    assert resident() - before < 50 * 1024
    assert world.upstream.requests == []


@rule(95)
def test_a_head_above_the_limit_is_refused(world: World) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode()
    assert world.raw(head + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
    assert world.raw(head + b"X-A: a\r\n" * 500 + b"\r\n").startswith(b"HTTP/1.1 431")


@rule(77)
def test_other_methods_are_told_the_right_ones(world: World) -> None:
    for method in ("PUT", "PATCH", "HEAD"):
        reply = world.call(PING if method != "HEAD" else None, method=method)
        assert reply.status == 405
        assert reply.headers["Allow"] == "POST, GET, DELETE, OPTIONS"
    assert world.upstream.requests == []


@rule(75, 76)
def test_there_is_no_edge_without_a_control_side(tmp_path: Path) -> None:
    import subprocess
    import sys

    root = Path(__file__).parents[3] / "images"
    for control in ("", "none", "http://127.0.0.1:1"):
        done = subprocess.run(
            [sys.executable, "-m", "mcp_gateway", "edge", "--control", control, "--audit", str(tmp_path)],
            env={**os.environ, "PYTHONPATH": f"{root}/gateway:{root}/wire"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 2
        assert b"--control" in done.stderr
