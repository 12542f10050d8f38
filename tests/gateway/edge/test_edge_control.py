"""Everything that isn't a call reaches the control side, with what the edge knows and not what a client claims."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.edge.edge_world import HOST, World, answer
from tests.gateway.rules import rule

ROOT = Path(__file__).parents[3]


@rule(1, 21)
def test_a_request_passes_with_its_body_query_and_cookies(world: World) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "a=1", "Authorization": "Basic eDp5"}
    reply = world.request("POST", "/oauth/token?x=%2F&y", b"grant_type=code", headers)
    assert reply.status == 200
    seen = world.control.requests[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/oauth/token?x=%2F&y", b"grant_type=code")
    assert (seen.get("cookie"), seen.get("authorization")) == ("a=1", "Basic eDp5")
    assert seen.get("host") == HOST


@rule(93)
def test_forwarding_headers_are_the_edges_own(world: World) -> None:
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X_Forwarded_For": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "X-Mcp-User": "sub-bob",
        "Remote-User": "root",
        "X-Auth-User": "root",
        "Connection": "close, X-Hop",
        "X-Hop": "root",
    }
    world.request("GET", "/", headers=forged)
    seen = world.control.requests[0]
    assert [value for name, value in seen.headers if name.lower() == "x-forwarded-for"] == ["127.0.0.1"]
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-forwarded-host") == HOST
    for bad in ("6.6.6.6", "evil", "sub-bob", "root"):
        assert bad not in str(seen.headers)


def test_the_answer_passes_with_its_cookies_and_status(world: World) -> None:
    def behave(handler: object, seen: object) -> None:
        handler.send_response_only(302)  # type: ignore[attr-defined]
        for name, value in (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Location", "/x"), ("Content-Length", "0")):
            handler.send_header(name, value)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]

    world.control.behaviour = behave
    reply = world.request("GET", "/login")
    assert (reply.status, reply.headers["Location"]) == (302, "/x")
    assert reply.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    world.control.behaviour = lambda handler, seen: answer(handler, 200, b"ok")


def test_head_and_options_pass(world: World) -> None:
    def head(handler: object, seen: object) -> None:
        handler.send_response_only(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", "10")  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]

    world.control.behaviour = head
    reply = world.request("HEAD", "/")
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", "10")
    world.control.behaviour = lambda handler, seen: answer(handler, 200, b"ok")
    assert world.request("OPTIONS", "/token").status == 200


def test_health_needs_no_host_and_tells_nothing(world: World) -> None:
    assert world.request("GET", "/healthz", host="anything").body == b"ok\n"
    command = [sys.executable, "-m", "mcp_gateway", "health", "edge"]
    environment = {"PYTHONPATH": str(ROOT / "images" / "gateway")}
    assert subprocess.run([*command, str(world.port)], env=environment, check=False).returncode == 0
    assert subprocess.run([*command, "1"], env=environment, check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize("name", ["starlette", "sqlalchemy", "pydantic", "aiohttp", "jinja2"])
def test_the_edge_imports_nothing_of_the_control_side(name: str) -> None:
    code = f"import sys, mcp_gateway.edge.main; sys.exit({name!r} in sys.modules)"
    paths = f"{ROOT}/images/gateway:{ROOT}/images/wire"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": paths}, check=False).returncode == 0
