"""A call without an instance has it started once, waits with a deadline, and ends with its answer or a clear error."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.edge.edge_world import HOST, Reply, Seen, new_world
from tests.gateway.edge.fleet import StartAnswer
from tests.gateway.edge.homes import ALICE, BOB, INITIALIZE, PAY, PING, Homes, at_once, both, in_background
from tests.gateway.rules import rule

MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "ping"}
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
MODERN_PING = {**PING, "params": {"_meta": META}}


def refusal(code: str, status: int, **more: Any) -> Callable[[dict[str, Any]], StartAnswer]:
    body = {"error": code, "message": f"because of {code}", "retrySeconds": None, "missing": [], **more}
    return lambda request: (status, body)


class Held:
    """A start that is held until `go`."""

    def __init__(self, homes: Homes, answer: Callable[[dict[str, Any]], StartAnswer] | None = None):
        self.go = threading.Event()
        self._answer = answer or homes.launch
        homes.fleet.start = self

    def __call__(self, request: dict[str, Any]) -> StartAnswer:
        assert self.go.wait(20)
        return self._answer(request)


def test_the_first_call_starts_the_instance_and_the_next_ones_use_it(homes: Homes) -> None:
    homes.fleet.start = homes.launch
    since = homes.world.audited()
    for _ in range(3):
        assert homes.call().json()["result"]["home"] == list(ALICE)
    assert homes.fleet.starts == [{"server": "memory", "subject": "sub-alice", "failed": None}]
    assert [record["refused"] for record in homes.world.audit(3, since)] == [None] * 3


def test_many_first_calls_are_one_start_for_each_user(homes: Homes) -> None:
    held = Held(homes)
    subjects = ["sub-alice" if number % 2 else "sub-bob" for number in range(40)]

    def release() -> None:
        homes.fleet.wait_for(lambda: len(homes.fleet.starts) == 2)
        time.sleep(0.3)
        held.go.set()

    threading.Thread(target=release).start()
    replies = at_once(len(subjects), lambda number: homes.call({**PING, "id": number}, subjects[number]))
    for number, reply in enumerate(replies):
        assert reply.json()["id"] == number
        assert reply.json()["result"]["home"] == ["memory", subjects[number]]
    assert sorted(start["subject"] for start in homes.fleet.starts) == ["sub-alice", "sub-bob"]
    assert (len(homes.of(ALICE)), len(homes.of(BOB))) == (1, 1)


def test_only_so_many_calls_wait_for_one_instance(homes: Homes) -> None:
    homes.warm(BOB)
    since = homes.world.audited()
    held = Held(homes)
    replies: list[Reply] = []
    caller = threading.Thread(target=lambda: replies.extend(at_once(130, lambda number: homes.call())))
    caller.start()
    refused = homes.world.audit(since + 30)[since:]
    assert {record["refused"] for record in refused} == {"no instance: limit"}
    assert homes.call(PING, "sub-bob").status == 200
    held.go.set()
    caller.join(20)
    assert sorted("result" in reply.json() for reply in replies) == [False] * 30 + [True] * 100
    assert {reply.headers["Retry-After"] for reply in replies if "error" in reply.json()} == {"2"}
    assert len(homes.fleet.starts) == 1


def test_other_requests_go_on_while_a_start_is_held(homes: Homes) -> None:
    homes.warm(BOB)
    held = Held(homes)
    thread, replies = in_background(homes.call)
    homes.fleet.wait_for(lambda: len(homes.fleet.starts) == 1)
    assert homes.call(PING, "sub-bob").json()["result"]["home"] == list(BOB)
    assert homes.world.call(PING).status == 200
    assert homes.world.request("GET", "/").status == 200
    assert replies == []
    held.go.set()
    thread.join(10)
    assert replies[0].json()["result"]["home"] == list(ALICE)


def test_a_client_that_leaves_takes_nothing_from_the_others(homes: Homes) -> None:
    held = Held(homes)
    since = homes.world.audited()
    with socket.create_connection(("127.0.0.1", homes.world.port)) as leaving:
        body = json.dumps(PING).encode()
        leaving.sendall(
            f"POST /mcp-connect/memory HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {homes.world.token('memory')}"
            f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        homes.fleet.wait_for(lambda: len(homes.fleet.starts) == 1)
    (left,) = homes.world.audit(1, since)
    assert (left["status"], left["refused"]) == (499, "client went away")
    thread, replies = in_background(homes.call)
    held.go.set()
    thread.join(10)
    assert replies[0].json()["result"]["home"] == list(ALICE)
    assert len(homes.fleet.starts) == 1
    assert len(homes.of(ALICE)[0].requests) == 1


@pytest.mark.parametrize(
    ("code", "status", "retry"),
    [("limit", 429, 12.5), ("start-failed", 502, None), ("start-failed", 502, 0.2), ("unavailable", 503, 3)],
)
def test_a_start_that_fails_is_a_clear_error_of_the_requests_era(
    homes: Homes, code: str, status: int, retry: float | None
) -> None:
    homes.fleet.start = refusal(code, status, retrySeconds=retry)
    since = homes.world.audited()
    legacy = homes.call()
    modern = homes.call(MODERN_PING, headers=MODERN)
    notification = homes.call({"jsonrpc": "2.0", "method": "notifications/x"})
    assert (legacy.status, modern.status, notification.status) == (200, status, status)
    for reply, identifier in ((legacy, 1), (modern, 1), (notification, None)):
        assert reply.json()["id"] == identifier
        assert reply.json()["error"] == {"code": -32000, "message": f"because of {code}"}
        expected = None if retry is None else {12.5: "13", 0.2: "1", 3: "3"}[retry]
        assert reply.headers["Retry-After"] == expected
    assert {record["refused"] for record in homes.world.audit(3, since)} == {f"no instance: {code}"}


@rule(20)
def test_a_server_that_the_control_side_does_not_know_is_unknown(homes: Homes) -> None:
    homes.fleet.start = refusal("unknown", 404)
    assert homes.call().body == homes.call(server="nothing").body


@pytest.mark.parametrize(
    "answered",
    [
        (200, {"url": "http://localhost:1/mcp"}),
        (200, {"url": None}),
        (200, {}),
        (500, {"error": "limit", "message": 5}),
        (418, {"error": "teapot", "message": "x"}),
        (204, {"url": "http://127.0.0.1:1/"}),
    ],
)
def test_an_outcome_that_cannot_be_read_is_an_error_and_no_hang(homes: Homes, answered: StartAnswer) -> None:
    homes.fleet.start = lambda request: answered
    assert "can't be started just now" in homes.call().json()["error"]["message"]


def test_an_instance_that_cannot_be_reached_is_reported_and_the_call_sent_to_the_next(homes: Homes) -> None:
    (dead,) = homes.warm(ALICE)
    dead.die()
    homes.fleet.start = homes.launch
    assert homes.call(PAY).json()["result"]["home"] == list(ALICE)
    assert homes.fleet.starts == [{"server": "memory", "subject": "sub-alice", "failed": dead.url}]
    assert [len(home.requests) for home in homes.of(ALICE)] == [0, 1]
    assert homes.call().status == 200
    assert len(homes.fleet.starts) == 1


def test_a_call_is_sent_again_only_once(homes: Homes) -> None:
    (dead,) = homes.warm(ALICE)
    dead.die()
    homes.fleet.start = lambda request: (200, {"url": dead.url})
    reply = homes.call()
    assert (reply.status, reply.json()["error"]["message"]) == (502, "The server can't be reached")
    assert [start["failed"] for start in homes.fleet.starts] == [dead.url]


def test_a_start_that_fails_for_a_lost_instance_forgets_it(homes: Homes) -> None:
    (dead,) = homes.warm(ALICE)
    session = homes.session()
    dead.die()
    homes.fleet.start = refusal("start-failed", 502)
    assert homes.call().json()["error"]["message"] == "because of start-failed"
    assert homes.call(PING, headers=session).status == 404
    assert len(homes.fleet.starts) == 1


def test_many_calls_that_lose_their_instance_start_one(homes: Homes) -> None:
    (dead,) = homes.warm(ALICE)
    dead.die()
    homes.fleet.start = homes.launch
    replies = at_once(20, lambda number: homes.call())
    assert [reply.json()["result"]["home"] for reply in replies] == [list(ALICE)] * 20
    assert len(homes.of(ALICE)) <= 3


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_only_a_post_starts_an_instance_anew(homes: Homes, method: str) -> None:
    (dead,) = homes.warm(ALICE)
    dead.die()
    homes.fleet.start = homes.launch
    assert homes.call(None, method=method).status == 502
    assert homes.fleet.starts == []


def test_a_session_ends_with_its_instance_and_survives_a_moment_without_a_way(homes: Homes) -> None:
    (home,) = homes.warm(ALICE)
    session = homes.session()
    port = home.server_address[1]
    home.die()

    def back(request: dict[str, Any]) -> StartAnswer:
        return 200, {"url": homes.open(ALICE, port).url}

    homes.fleet.start = back
    assert homes.call(PING, headers=session).status == 200
    homes.of(ALICE)[-1].die()
    homes.fleet.start = homes.launch
    reply = homes.call(PING, headers=session)
    assert (reply.status, reply.json()["error"]["code"], reply.json()["id"]) == (404, -32001, 1)
    assert homes.of(ALICE)[-1].requests == []
    assert homes.call(INITIALIZE).status == 200


def test_a_connection_that_breaks_is_no_second_call_but_a_second_look(homes: Homes) -> None:
    (home,) = homes.warm(ALICE)

    def broken(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    home.behaviour = broken
    assert homes.call(PAY).status == 502
    assert len(home.requests) == 1
    assert homes.fleet.starts == []
    home.behaviour = home.tell
    homes.fleet.start = lambda request: (200, {"url": home.url})
    for _ in range(2):
        assert homes.call().json()["result"]["home"] == list(ALICE)
    assert homes.fleet.starts == [{"server": "memory", "subject": "sub-alice", "failed": None}]


def test_a_session_goes_on_after_a_connection_broke(homes: Homes) -> None:
    (home,) = homes.warm(ALICE)
    session = homes.session()
    tell = home.behaviour
    home.behaviour = lambda handler, seen: handler.connection.shutdown(socket.SHUT_RDWR)
    assert homes.call(PAY, headers=session).status == 502
    home.behaviour = tell
    assert homes.call(PAY, headers=session).status == 200
    assert homes.fleet.starts == []


LOSSES: dict[str, tuple[Callable[[dict[str, Any]], Any], int, str]] = {
    "access": (lambda document: document["servers"][3].update({"subjects": ["sub-bob"]}), 404, "no such server"),
    "server": (lambda document: document["servers"].pop(3), 404, "no such server"),
    "user": (lambda document: document["subjects"].pop("sub-alice"), 401, "not valid"),
    "token": (lambda document: document["revokedBefore"].update({"sub-alice": int(time.time()) + 1}), 401, "not valid"),
    "values": (lambda document: document["servers"][3].update({"missing": {"sub-alice": ["API key"]}}), 200, "API key"),
    "tool": (lambda document: document["servers"][3].update({"tools": {"allowed": ["x"]}}), 200, "may not be used"),
}


@rule(20)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_changes_while_a_start_is_held_is_judged_by(homes: Homes, loss: str) -> None:
    change, status, text = LOSSES[loss]
    held = Held(homes)
    thread, replies = in_background(lambda: homes.call(PAY))
    homes.fleet.wait_for(lambda: len(homes.fleet.starts) == 1)
    homes.world.publish(change)
    thread.join(10)
    assert replies[0].status == status
    assert text in replies[0].body.decode()
    held.go.set()
    homes.fleet.wait_for(lambda: ALICE in homes.fleet.table)
    assert homes.of(ALICE)[0].requests == []


def test_a_change_that_concerns_others_leaves_the_wait(homes: Homes) -> None:
    held = Held(homes)
    thread, replies = in_background(homes.call)
    homes.fleet.wait_for(lambda: len(homes.fleet.starts) == 1)
    homes.world.publish(lambda document: document["revokedTokens"].update({"other": 1}))
    assert replies == []
    held.go.set()
    thread.join(10)
    assert replies[0].json()["result"]["home"] == list(ALICE)
    assert len(homes.fleet.starts) == 1


def test_a_server_that_is_shared_by_now_is_called_as_such(homes: Homes) -> None:
    held = Held(homes)
    thread, replies = in_background(homes.call)
    homes.fleet.wait_for(lambda: len(homes.fleet.starts) == 1)
    upstream: dict[str, Any] = {"url": homes.world.upstream.url, "reach": "private", "headers": {}, "caFile": None}
    homes.world.publish(lambda document: document["servers"][3].update({"kind": "multiUser", "upstream": upstream}))
    thread.join(10)
    assert replies[0].status == 200
    assert len(homes.world.upstream.requests) == 1
    held.go.set()
    homes.fleet.wait_for(lambda: ALICE in homes.fleet.table)


def test_an_edge_that_stops_answers_those_who_wait(tmp_path: Path) -> None:
    with new_world(tmp_path) as world:
        world.publish(both)
        homes = Homes(world)
        held = Held(homes)
        thread, replies = in_background(lambda: homes.call(MODERN_PING, headers=MODERN))
        homes.fleet.wait_for(lambda: len(homes.fleet.starts) == 1)
        assert world.stop() == 0
        thread.join(10)
        held.go.set()
        assert (replies[0].status, replies[0].headers["Retry-After"]) == (503, "2")


NOWHERE = "http://127.255.255.255:9/mcp"
"""No connection can be made there, and none is refused: as from an edge that isn't on the instance's network yet."""


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_way_that_opens_in_a_moment_is_waited_for(homes: Homes, method: str) -> None:
    homes.fleet.publish({ALICE: NOWHERE})
    thread, replies = in_background(lambda: homes.call(PING if method == "POST" else None, method=method))
    time.sleep(0.2)
    home = homes.open(ALICE)
    homes.fleet.publish({ALICE: home.url})
    thread.join(10)
    assert replies[0].status == 200
    assert len(home.requests) == 1
    assert homes.fleet.starts == []


def test_an_instance_without_a_way_is_reported_in_the_end(homes: Homes) -> None:
    homes.fleet.start = homes.launch
    homes.fleet.publish({ALICE: NOWHERE})
    assert homes.call(None, method="GET").status == 502
    assert homes.fleet.starts == []
    homes.fleet.publish({BOB: NOWHERE})
    assert homes.call(PAY, "sub-bob").json()["result"]["home"] == list(BOB)
    assert [start["failed"] for start in homes.fleet.starts] == [NOWHERE]


def test_the_servers_time_begins_when_the_wait_ends(homes: Homes) -> None:
    homes.world.publish(lambda document: document["servers"][3]["limits"].update({"answerSeconds": 1}))
    go_on = threading.Event()

    def slow(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        go_on.wait(20)

    def launch(request: dict[str, Any]) -> StartAnswer:
        time.sleep(2.5)
        home = homes.open(ALICE)
        home.behaviour = slow
        return 200, {"url": home.url}

    homes.fleet.start = launch
    assert homes.call().status == 504
    assert [len(home.requests) for home in homes.all] == [1]
    go_on.set()
