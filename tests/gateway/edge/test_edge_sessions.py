"""Sessions belong to one user and one server, and never stand in for a token."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.edge.sessions import bound, unbound

from tests.gateway.edge.edge_world import Seen, World, answer, echo
from tests.gateway.rules import rule

INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60).map(str.encode)
KEY = b"k" * 32


@given(VISIBLE, VISIBLE, VISIBLE)
def test_a_bound_id_comes_back_for_its_own_user_and_server_only(session: bytes, other: bytes, subject: bytes) -> None:
    name = subject.decode()
    given_id = bound(KEY, "time", name, session)
    assert given_id is not None
    assert unbound(KEY, "time", name, given_id) == session
    assert unbound(KEY, "notes", name, given_id) is None
    assert unbound(KEY, "time", name + "x", given_id) is None
    assert unbound(b"q" * 32, "time", name, given_id) is None
    assert unbound(KEY, "time", name, other) is None
    if other != session:
        assert unbound(KEY, "time", name, given_id[:23] + other) is None


@given(VISIBLE, st.integers(0, 200), st.integers(0, 255))
def test_a_changed_byte_is_noticed(session: bytes, position: int, byte: int) -> None:
    given_id = bound(KEY, "time", "sub", session)
    assert given_id is not None
    changed = bytearray(given_id)
    changed[position % len(changed)] = byte
    assert bytes(changed) == given_id or unbound(KEY, "time", "sub", bytes(changed)) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_an_unknown_session(noise: bytes) -> None:
    assert unbound(KEY, "time", "sub", noise) is None


@pytest.mark.parametrize("session", [b"", b"a b", b"a\tb", b"\xc3\xa9", b"a\x7f", b"x" * 2000])
def test_an_id_of_other_than_visible_ascii_is_not_bound(session: bytes) -> None:
    assert bound(KEY, "time", "sub", session) is None


def with_session(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    if b"initialize" in seen.body:
        body = b'{"jsonrpc":"2.0","id":1,"result":{}}'
        answer(handler, 200, body, {"Content-Type": "application/json", "Mcp-Session-Id": "upstream-1"})
    else:
        echo(handler, seen)


def opened(world: World, server: str = "time", subject: str = "sub-alice") -> str:
    world.upstream.behaviour = with_session
    session = world.call(INITIALIZE, server, subject=subject).headers["Mcp-Session-Id"]
    world.upstream.requests.clear()
    return session


@rule(86)
def test_a_session_reaches_its_server_under_the_servers_own_id(world: World) -> None:
    session = opened(world)
    assert session != "upstream-1"
    assert all(0x21 <= ord(character) <= 0x7E for character in session)
    assert world.call(PING, headers={"Mcp-Session-Id": session}).status == 200
    assert world.call(None, method="DELETE", headers={"Mcp-Session-Id": session}).status == 200
    assert [seen.get("mcp-session-id") for seen in world.upstream.requests] == ["upstream-1"] * 2


@rule(87, 89)
def test_another_users_session_is_unknown_and_lives_on(world: World) -> None:
    session = opened(world)
    for method in ("POST", "GET", "DELETE"):
        message = PING if method == "POST" else None
        headers = {"Mcp-Session-Id": session, "Last-Event-ID": "e-1"}
        assert world.call(message, subject="sub-bob", method=method, headers=headers).status == 404
        assert world.call(message, "shop", method=method, headers=headers).status == 404
    assert world.upstream.requests == []
    assert world.call(PING, headers={"Mcp-Session-Id": session}).status == 200


@rule(86, 87)
@pytest.mark.parametrize("forged", ["upstream-1", ".upstream-1", "A" * 22 + ".upstream-1", "x" * 3000])
def test_an_id_that_the_edge_did_not_give_is_unknown(world: World, forged: str) -> None:
    opened(world)
    reply = world.call(PING, headers={"Mcp-Session-Id": forged})
    assert reply.status == 404
    assert reply.json()["error"]["code"] == -32001
    assert world.upstream.requests == []


@rule(12, 87)
def test_a_missing_token_wins_over_an_unknown_session(world: World) -> None:
    assert world.request("GET", "/mcp-connect/time", headers={"Mcp-Session-Id": "forged"}).status == 401
    session = opened(world)
    assert world.request("GET", "/mcp-connect/time", headers={"Mcp-Session-Id": session}).status == 401


@rule(89)
def test_an_event_id_passes_beside_its_own_session_only(world: World) -> None:
    session = opened(world)
    world.call(None, method="GET", headers={"Mcp-Session-Id": session, "Last-Event-ID": "e-7"})
    world.call(None, method="GET", headers={"Last-Event-ID": "e-7"})
    assert [seen.get("last-event-id") for seen in world.upstream.requests] == ["e-7", None]


@rule(88)
def test_the_modern_era_has_no_sessions(world: World) -> None:
    session = opened(world)
    modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "initialize"}
    reply = world.call(INITIALIZE, headers={**modern, "Mcp-Session-Id": session, "Last-Event-ID": "e-1"})
    assert reply.status == 200
    assert reply.headers["Mcp-Session-Id"] is None
    assert world.upstream.requests[0].get("mcp-session-id") is None
    assert world.upstream.requests[0].get("last-event-id") is None
    for method in ("GET", "DELETE"):
        assert world.call(None, method=method, headers=modern).status == 405
    assert len(world.upstream.requests) == 1
