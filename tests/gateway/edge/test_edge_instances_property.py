"""Whatever users do, and whatever becomes of instances: no answer ever comes from another user's instance."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.edge.edge_world import Reply, World, new_world
from tests.gateway.edge.fleet import Key, refuse
from tests.gateway.edge.homes import INITIALIZE, PAY, PING, Home, Homes, at_once, single
from tests.gateway.rules import rule

USERS = ("sub-alice", "sub-bob", "sub-carol")
SERVERS = ("memory", "files", "box")

keys = st.tuples(st.sampled_from(SERVERS), st.sampled_from(USERS))
hows = st.sampled_from(("ping", "pay", "initialize", "session", "stolen", "get", "delete", "forged"))
calls = st.lists(st.tuples(keys, hows), min_size=1, max_size=6)
steps = st.one_of(
    st.tuples(st.just("calls"), calls, st.none() | keys),
    st.tuples(st.just("withdraw"), keys),
    st.tuples(st.just("kill"), keys),
    st.tuples(st.just("replace"), keys),
    st.tuples(st.just("move in"), keys, keys),
    st.tuples(st.just("refuse"), st.booleans()),
    st.tuples(st.just("access"), keys, st.booleans()),
)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    def people(world: World) -> None:
        world.document["subjects"]["sub-carol"] = {"login": "carol"}
        world.document["servers"] = [single(server, list(USERS)) for server in SERVERS]

    with new_world(tmp_path_factory.mktemp("crowd"), "--workers", "1", before=people) as world:
        yield world


class Story:
    """One run of steps, with what the table says and which sessions users have been given."""

    def __init__(self, world: World):
        self.world = world
        self.homes = Homes(world)
        self.sessions: list[tuple[Key, str]] = []
        self.refusing = False
        world.fleet.start = self.start

    def start(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refusing:
            return refuse(request)
        key = (request["server"], request["subject"])
        url = self.world.fleet.table.get(key)
        if url is not None and url != request["failed"] and any(home.url == url for home in self.alive(key)):
            return 200, {"url": url}
        return self.homes.launch(request)

    def alive(self, key: Key) -> list[Home]:
        return [home for home in self.homes.of(key) if home.socket.fileno() >= 0]

    def settle(self, table: dict[Key, str]) -> None:
        """As the control side waits before an address goes to somebody else: no edge knows the old table any more."""
        self.world.fleet.publish(table)
        self.world.fleet.publish(table)

    def kill(self, key: Key) -> list[int]:
        ports = []
        for home in self.alive(key):
            ports.append(home.server_address[1])
            home.die()
        return ports

    def take(self, step: tuple[Any, ...]) -> None:
        fleet = self.world.fleet
        match step:
            case ("calls", made, killed):
                killer = threading.Thread(target=self.kill, args=(killed,)) if killed else None
                if killer:
                    killer.start()
                at_once(len(made), lambda number: self.call(*made[number]))
                if killer:
                    killer.join()
            case ("withdraw", key):
                fleet.publish({other: url for other, url in fleet.table.items() if other != key})
            case ("kill", key):
                self.kill(key)
            case ("replace", key):
                fleet.publish({**fleet.table, key: self.homes.open(key).url})
            case ("move in", key, other):
                ports = self.kill(key)
                self.settle({each: url for each, url in fleet.table.items() if each != key})
                if ports:
                    table = {each: url for each, url in fleet.table.items() if each != other}
                    fleet.publish({**table, other: self.homes.open(other, ports[0]).url})
            case ("refuse", refusing):
                self.refusing = refusing
            case ("access", (server, subject), has):
                entry = self.world.server(server)
                subjects = [each for each in USERS if (each in entry["subjects"] if each != subject else has)]
                self.world.publish(
                    lambda document: next(each for each in document["servers"] if each["id"] == server).update(
                        {"subjects": subjects}
                    )
                )

    def call(self, key: Key, how: str) -> Reply:
        server, subject = key
        headers: dict[str, str] = {}
        if how in ("session", "stolen"):
            wanted = [given for owner, given in self.sessions if (owner == key) == (how == "session")]
            headers = {"Mcp-Session-Id": wanted[-1]} if wanted else {}
        elif how == "forged":
            headers = {"X-Mcp-User": "sub-bob", "Cookie": "sub=sub-bob", "X-Forwarded-User": "sub-bob"}
        message = {"get": None, "delete": None, "pay": PAY, "initialize": INITIALIZE}.get(how, PING)
        method = {"get": "GET", "delete": "DELETE"}.get(how, "POST")
        reply = self.homes.call(message, subject, server, headers=headers, method=method)
        assert reply.status in (200, 404, 502, 503)
        body = reply.json() if reply.body else {}
        if "result" in body:
            assert body["result"]["home"] == [server, subject]
            session = body["result"]["session"]
            assert session is None or session.startswith(f"session-of-{subject}-")
            if how == "stolen" and headers:
                raise AssertionError("a session of somebody else was taken")
            if how == "initialize":
                self.sessions.append((key, reply.headers["Mcp-Session-Id"]))
        return reply

    def check(self) -> None:
        for home in self.homes.all:
            _, subject = home.key
            assert {seen.get("x-mcp-user") for seen in home.requests} <= {subject}
            sessions = {seen.get("mcp-session-id") for seen in home.requests} - {None}
            assert all(session.startswith(f"session-of-{subject}-") for session in sessions if session)

    def end(self) -> None:
        self.world.fleet.start = refuse
        self.world.publish(lambda document: [each.update({"subjects": list(USERS)}) for each in document["servers"]])
        self.settle({})
        for home in self.homes.all:
            if home.socket.fileno() >= 0:
                home.die()


@rule(20, 87)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(script=st.lists(steps, min_size=4, max_size=16))
def test_no_answer_comes_from_another_users_instance(crowd: World, script: list[tuple[Any, ...]]) -> None:
    story = Story(crowd)
    failures: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda arguments: failures.append(arguments.exc_value or AssertionError())
    try:
        for step in script:
            story.take(step)
        story.check()
        assert failures == []
    finally:
        story.end()
        threading.excepthook = before
