"""Each user reaches their own instance, found by the verified subject: nothing that a client sends leads elsewhere."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from mcp_gateway.edge.document import DocumentError
from mcp_gateway.edge.instances import read_table

from tests.gateway.edge.edge_world import HOST, Seen, World, new_world
from tests.gateway.edge.homes import ALICE, BOB, INITIALIZE, OTHERS, PING, Homes, both
from tests.gateway.rules import rule


def home_of(body: Any) -> tuple[str, str]:
    server, subject = body["result"]["home"]
    return server, subject


@rule(87, 93)
def test_each_user_reaches_their_own_instance_of_each_server(homes: Homes) -> None:
    homes.warm(ALICE, BOB, OTHERS)
    for server, subject in (ALICE, BOB, OTHERS, ALICE, OTHERS, BOB):
        reply = homes.call(PING, subject, server)
        assert home_of(reply.json()) == (server, subject)
        headers = {name.lower(): value for name, value in reply.json()["result"]["headers"]}
        assert headers["x-mcp-user"] == subject
        assert headers["x-mcp-client"] == "client-1"
        assert "authorization" not in headers
    assert homes.fleet.starts == []
    assert homes.world.control.requests == []


def test_users_on_one_connection_are_told_apart(homes: Homes) -> None:
    homes.warm(ALICE, BOB)
    connection = http.client.HTTPConnection("127.0.0.1", homes.world.port, timeout=10)
    with contextlib.closing(connection):
        for subject in ("sub-alice", "sub-bob", "sub-bob", "sub-alice", "sub-alice", "sub-bob"):
            token = homes.world.token("memory", subject)
            headers = {"Host": HOST, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/mcp-connect/memory", b'{"jsonrpc":"2.0","id":1,"method":"ping"}', headers)
            assert f'"{subject}"'.encode() in connection.getresponse().read().partition(b'"headers"')[0]


HEADERS = {
    "user": {"X-Mcp-User": "sub-bob"},
    "user with an underscore": {"X_Mcp_User": "sub-bob"},
    "server and user": {"X-Mcp-Server": "memory", "X-User": "sub-bob", "X-Auth-Subject": "sub-bob"},
    "proxies": {"X-Forwarded-User": "sub-bob", "Forwarded": "for=sub-bob", "Remote-User": "sub-bob"},
    "cookie": {"Cookie": "session=sub-bob; subject=sub-bob; __Host-session=sub-bob"},
    "route": {"X-Original-URL": "/mcp-connect/memory/sub-bob", "X-Rewrite-URL": "/mcp-connect/memory?user=sub-bob"},
    "method": {"X-HTTP-Method-Override": "GET", "Mcp-Name": "sub-bob", "Mcp-Param-Subject": "sub-bob"},
    "last event": {"Last-Event-ID": "sub-bob/1"},
    "hop": {"Connection": "keep-alive, X-Mcp-User, Authorization", "X-Mcp-User": "sub-bob"},
}


@rule(93)
@pytest.mark.parametrize("kind", HEADERS)
def test_no_header_leads_to_another_users_instance(homes: Homes, kind: str) -> None:
    _, bob = homes.warm(ALICE, BOB)
    reply = homes.call(PING, headers=HEADERS[kind])
    assert home_of(reply.json()) == ALICE
    users = [value for name, value in reply.json()["result"]["headers"] if name.lower() == "x-mcp-user"]
    assert users == ["sub-alice"]
    assert bob.requests == []


@rule(96)
@pytest.mark.parametrize(
    "path",
    [
        "/mcp-connect/memory?subject=sub-bob",
        "/mcp-connect/memory?server=memory&user=sub-bob&instance=sub-bob",
        "/mcp-connect/memory?{bob}",
        "/mcp-connect/memory/",
        "/mcp-connect/memory/sub-bob",
        "/mcp-connect/memory/mcp",
        "/mcp-connect/memory;sub-bob",
        "/mcp-connect/memory%2fsub-bob",
        "/mcp-connect/memory-u-4c0b1a",
        "/mcp-connect/memory@sub-bob",
        "/mcp-connect/sub-bob/memory",
        "/mcp-connect//memory",
        "/mcp-connect/files/../memory",
        "/mcp-connect/{bob}",
        "//{bob}/mcp",
        "/internal/instances",
        "/internal/instances/start",
        "/INTERNAL/instances/active",
    ],
)
def test_no_path_or_query_leads_to_another_users_instance(homes: Homes, path: str) -> None:
    _, bob = homes.warm(ALICE, BOB)
    place = bob.url.removeprefix("http://").removesuffix("/mcp")
    headers = {"Authorization": f"Bearer {homes.world.token('memory')}", "Content-Type": "application/json"}
    reply = homes.world.request("POST", path.format(bob=place), b'{"jsonrpc":"2.0","id":1,"method":"ping"}', headers)
    if reply.status == 200:
        assert home_of(reply.json()) == ALICE
    else:
        assert reply.status in (400, 404)
    assert bob.requests == []
    assert homes.fleet.starts == []
    assert homes.world.control.requests == []


@rule(74)
def test_no_host_leads_to_an_instance(homes: Homes) -> None:
    _, bob = homes.warm(ALICE, BOB)
    place = bob.url.removeprefix("http://").removesuffix("/mcp")
    for host in (place, "mcp-quickstart-memory-u-4c0b1a", "sub-bob.gateway.test:8765"):
        body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
        headers = {"Authorization": f"Bearer {homes.world.token('memory')}", "Content-Type": "application/json"}
        assert homes.world.request("POST", "/mcp-connect/memory", body, headers, host=host).status == 421
    assert bob.requests == []


@rule(87)
def test_a_session_of_another_user_or_server_is_unknown_and_lives_on(homes: Homes) -> None:
    alice, bob, files = homes.warm(ALICE, BOB, OTHERS)
    session = homes.session("sub-bob")
    raw = {"Mcp-Session-Id": session["Mcp-Session-Id"].partition(".")[2]}
    counts = [len(home.requests) for home in (alice, bob, files)]
    for stolen in (session, raw):
        for method in ("POST", "GET", "DELETE"):
            message = PING if method == "POST" else None
            assert homes.call(message, headers=stolen, method=method).status == 404
    own = homes.session("sub-alice", "files")
    assert homes.call(PING, headers=own).status == 404
    assert [len(home.requests) for home in (alice, bob)] == counts[:2]
    assert homes.call(PING, "sub-bob", headers=session).json()["result"]["session"].startswith("session-of-sub-bob")
    assert homes.call(PING, "sub-alice", "files", headers=own).status == 200


@rule(20)
def test_a_server_that_one_may_not_use_is_like_one_that_is_not_there(homes: Homes) -> None:
    (files,) = homes.warm(OTHERS)
    for method in ("POST", "GET", "DELETE"):
        message = PING if method == "POST" else None
        refused = homes.call(message, "sub-bob", "files", method=method)
        unknown = homes.call(message, "sub-bob", "nothing", method=method)
        assert (refused.status, refused.body) == (unknown.status, unknown.body) == (404, refused.body)
    assert homes.fleet.starts == []
    assert files.requests == []


@rule(15, 87)
def test_a_token_is_asked_for_before_anything_is_told_of_instances(homes: Homes) -> None:
    homes.warm(BOB)
    for subject in ("sub-alice", "sub-bob"):
        for token in ("", "x", homes.world.token("files", subject)):
            for method in ("POST", "GET", "DELETE"):
                headers = {"Authorization": f"Bearer {token}", "Mcp-Session-Id": "x"} if token else {}
                body = b"{}" if method == "POST" else None
                reply = homes.world.request(method, "/mcp-connect/memory", body, headers)
                assert reply.status == 401
    assert homes.fleet.starts == []


def test_without_an_instance_a_session_is_unknown_and_nothing_is_started(homes: Homes) -> None:
    homes.warm(ALICE)
    session = homes.session()
    homes.fleet.publish({})
    for method in ("POST", "GET", "DELETE"):
        reply = homes.call(PING if method == "POST" else None, headers=session, method=method)
        assert (reply.status, reply.json()["error"]["code"]) == (404, -32001)
    assert homes.call(None, method="GET").status == 404
    assert homes.call(None, method="DELETE").status == 404
    modern = {"MCP-Protocol-Version": "2026-07-28"}
    assert homes.call(None, method="GET", headers=modern).status == 405
    assert homes.fleet.starts == []


def test_an_address_that_is_someone_elses_by_now_is_not_used(homes: Homes) -> None:
    (alice,) = homes.warm(ALICE)
    assert home_of(homes.call().json()) == ALICE
    port = alice.server_address[1]
    alice.die()
    bob = homes.open(BOB, port)
    # The table still names alice's instance at this address when a start tells that it is bob's.
    homes.fleet.start = lambda request: (
        (200, {"url": bob.url})
        if request["subject"] == "sub-bob"
        else (
            502,
            {"error": "start-failed", "message": "no room", "retrySeconds": None, "missing": []},
        )
    )
    assert home_of(homes.call(PING, "sub-bob").json()) == BOB
    refused = homes.call()
    assert refused.json()["error"]["message"] == "no room"
    assert {seen.get("x-mcp-user") for seen in bob.requests} == {"sub-bob"}


def test_connections_do_not_outlive_an_instance(homes: Homes) -> None:
    alice, _ = homes.warm(ALICE, BOB)
    assert homes.call().status == 200
    # The same server, at the same place, is bob's from now on: alice's idle connection to it must not be reused.
    alice.key = BOB
    homes.fleet.publish({BOB: alice.url})
    before = len(alice._sockets)
    assert home_of(homes.call(PING, "sub-bob").json()) == BOB
    assert len(alice._sockets) == before + 1
    assert homes.call().json()["error"]["message"] == "nothing can be started"


@pytest.mark.parametrize(
    ("urls", "problem"),
    [
        (["http://10.0.0.2:8080/mcp", "http://10.0.0.2:8080/other"], "another user's instance"),
        (["http://localhost:8080/mcp"], "not a name"),
        (["http://mcp-memory-u-1:8080/mcp"], "not a name"),
        (["https://10.0.0.2/mcp"], "must be http"),
        (["http://u@10.0.0.2/mcp"], "without user name"),
        (["http://10.0.0.2:99999/mcp"], "port"),
        (["ftp://10.0.0.2/"], "must be http or https"),
        ([""], "must not be empty"),
    ],
)
def test_a_table_that_could_lead_elsewhere_is_refused(urls: list[str], problem: str) -> None:
    instances = [{"server": "memory", "subject": f"sub-{at}", "url": url} for at, url in enumerate(urls)]
    with pytest.raises(DocumentError, match=problem):
        read_table({"version": "1", "instances": instances})


def test_a_table_with_two_instances_of_one_user_or_more_fields_is_refused() -> None:
    entry = {"server": "memory", "subject": "sub-a", "url": "http://10.0.0.2:8080/mcp"}
    with pytest.raises(DocumentError, match="two instances"):
        read_table({"version": "1", "instances": [entry, {**entry, "url": "http://10.0.0.3:8080/mcp"}]})
    with pytest.raises(DocumentError, match="not a known field"):
        read_table({"version": "1", "instances": [{**entry, "until": 1}]})
    with pytest.raises(DocumentError):
        read_table([])


def test_a_refused_table_leaves_the_one_in_force(homes: Homes) -> None:
    homes.warm(ALICE, BOB)
    homes.fleet.publish({ALICE: "http://localhost:1/mcp"})
    assert home_of(homes.call().json()) == ALICE
    assert "table of instances refused" in homes.world.log


def test_streams_end_with_their_instance_and_calls_under_way_end_as_they_would(homes: Homes) -> None:
    (alice,) = homes.warm(ALICE)
    go_on, opened = threading.Event(), threading.Semaphore(0)

    def slow(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        stream = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n: hi\n\r\n"
        )
        handler.wfile.write(stream)
        handler.wfile.flush()
        opened.release()
        go_on.wait(10)
        handler.wfile.write(b"7\r\n: more\n\r\n0\r\n\r\n")

    alice.behaviour = slow
    bodies: dict[str, bytes] = {}

    def call(method: str) -> None:
        bodies[method] = homes.call(PING if method == "POST" else None, method=method).body

    threads = {method: threading.Thread(target=call, args=(method,)) for method in ("GET", "POST")}
    for thread in threads.values():
        thread.start()
    for _ in threads:
        assert opened.acquire(timeout=10)
    homes.fleet.publish({})
    threads["GET"].join(5)
    assert bodies == {"GET": b": hi\n"}
    go_on.set()
    threads["POST"].join(5)
    assert bodies["POST"] == b": hi\n: more\n"


def test_an_instance_that_is_replaced_is_used_from_then_on_and_its_connections_end(homes: Homes) -> None:
    (old,) = homes.warm(ALICE)
    connection = http.client.HTTPConnection("127.0.0.1", homes.world.port, timeout=10)
    headers = {"Host": HOST, "Authorization": f"Bearer {homes.world.token('memory')}"}

    def call() -> int:
        body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
        connection.request("POST", "/mcp-connect/memory", body, {**headers, "Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status

    with contextlib.closing(connection):
        assert [call(), call()] == [200, 200]
        (new,) = homes.warm(ALICE)
        assert [call(), call()] == [200, 200]
    assert (len(old.requests), len(new.requests)) == (2, 2)
    for home in (old, new):
        place = home.url.removeprefix("http://").removesuffix("/mcp")
        assert {seen.get("host") for seen in home.requests} == {place}
    for _ in range(100):
        if old.ended:
            break
        time.sleep(0.02)
    assert (old.ended, new.ended) == (1, 0)


def test_values_of_the_user_reach_their_own_instance_as_headers(homes: Homes) -> None:
    homes.warm(ALICE, BOB)
    values = {"sub-alice": {"X-Api-Key": "alice's"}, "sub-bob": {"X-Api-Key": "bob's"}}
    homes.world.publish(lambda document: document["servers"][3].update({"userHeaders": values}))
    for subject in values:
        headers = dict(homes.call(PING, subject, headers={"X-Api-Key": "forged"}).json()["result"]["headers"])
        assert headers["x-api-key"] == values[subject]["X-Api-Key"]


def test_warm_instances_are_used_while_the_control_side_is_away(tmp_path: Path) -> None:
    with new_world(tmp_path) as world, contextlib.ExitStack() as stack:
        homes = Homes(world)
        world.publish(both)
        homes.warm(ALICE)
        assert homes.call().status == 200
        world.control.shutdown()
        world.control.server_close()
        (tmp_path / "control.sock").unlink()
        stack.callback(homes.all[0].die)
        assert home_of(homes.call().json()) == ALICE
        reply = homes.call(INITIALIZE, "sub-bob")
        assert (reply.status, reply.json()["id"], reply.headers["Retry-After"]) == (200, 1, "2")
        assert "can't be started just now" in reply.json()["error"]["message"]
        assert world.audit(3)[-1]["refused"] == "no instance: unavailable"


def test_before_the_first_table_requests_wait_and_are_refused_in_the_end(tmp_path: Path) -> None:
    def first(world: World) -> None:
        world.control.fleet.silent = True
        both(world.document)

    with new_world(tmp_path, before=first) as world:
        homes = Homes(world)
        session = {"Mcp-Session-Id": "x"}
        assert homes.call(PING, token="x", headers=session).status == 401
        replies = [homes.call(None, method="GET")]
        assert [(reply.status, reply.headers["Retry-After"]) for reply in replies] == [(503, "2")]
        home = homes.open(ALICE)
        waiting = threading.Thread(target=lambda: replies.append(homes.call()))
        waiting.start()
        with world.fleet.changed:
            world.fleet.table = {ALICE: home.url}
            world.fleet.silent = False
            world.fleet.changed.notify_all()
        waiting.join(10)
        assert home_of(replies[-1].json()) == ALICE
        home.die()
