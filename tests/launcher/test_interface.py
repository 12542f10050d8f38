"""The interface at a real socket: strict about everything, and nothing of an engine behind it is reached wrongly."""

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp_launcher.asked import LARGEST_BODY
from mcp_launcher.failure import STATUSES, Failure
from mcp_launcher.instances import Instances
from mcp_launcher.interface import Interface
from mcp_launcher.owned import Key
from mcp_launcher.reading import Reading

from tests.launcher.documents import SUBJECT


class Recorded:
    """Stands for the instances and their reading: notes what is asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.failure: Failure | None = None

    def start(self, key: Key, values: Mapping[str, str], revision: str, **options: bool) -> dict[str, Any]:
        self.asked.append(("start", key, dict(values), revision, options))
        if self.failure:
            raise self.failure
        return {"state": "running"}

    def stop(self, key: Key, *, with_volume: bool = False) -> None:
        self.asked.append(("stop", key, with_volume))

    def listing(self, after: str | None) -> dict[str, Any] | None:
        self.asked.append(("listing", after))
        return {"version": "a", "instances": [], "data": []}

    def last_words(self, key: Key) -> tuple[str, ...]:
        return ("one", "two", "three")

    def log(self, key: Key, count: int, *, follow: bool) -> None:
        self.asked.append(("log", key, count, follow))

    def usage(self) -> list[Any]:
        return []


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.recorded = Recorded()
        self.peers = frozenset({os.geteuid()})
        double: Any = self.recorded
        self.interface = Interface(path, cast(Instances, double), cast(Reading, double), peers=self.peers)
        threading.Thread(target=self.interface.serve_forever, daemon=True).start()

    def raw(self, content: bytes, *, end: bool = True) -> bytes:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(15)
            connection.connect(str(self.path))
            found = b""
            try:
                connection.sendall(content)
                if end:
                    connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65_536):
                    found += part
            except (BrokenPipeError, ConnectionResetError):
                pass
            return found

    def ask(self, method: str, target: str, body: bytes | None = None, *headers: str) -> tuple[int, bytes]:
        length = [] if body is None else [f"Content-Length: {len(body)}"]
        head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: launcher", *length, *headers, "", ""])
        answer = self.raw(head.encode() + (body or b""))
        status, _, rest = answer.partition(b"\r\n")
        return int(status.split()[1]) if status else 0, rest.partition(b"\r\n\r\n")[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("interface") / "launcher.sock")
    yield made
    made.interface.shutdown()
    made.interface.server_close()


@pytest.fixture
def world(shared: World) -> World:
    shared.recorded.asked.clear()
    shared.recorded.failure = None
    return shared


def start_body(**changed: Any) -> bytes:
    body = {"server": "memory", "subject": SUBJECT, "values": {}, "revision": "ab", "replace": False, "force": False}
    return json.dumps(body | changed).encode()


def test_a_start_is_handed_over_as_it_is(world: World) -> None:
    status, content = world.ask("POST", "/instances/start", start_body(values={"user:KEY": "v"}, force=True))
    assert (status, json.loads(content)) == (200, {"instance": {"state": "running"}})
    options = {"do_replace": False, "force": True}
    assert world.recorded.asked == [("start", Key("memory", SUBJECT), {"user:KEY": "v"}, "ab", options)]


@pytest.mark.parametrize("code", STATUSES)
def test_a_failure_is_told_as_the_contract_has_it(world: World, code: str) -> None:
    world.recorded.failure = Failure(code, "why", retry_seconds=2, log=["last"])
    status, content = world.ask("POST", "/instances/start", start_body())
    assert status == STATUSES[code]
    assert json.loads(content) == {"error": code, "message": "why", "retrySeconds": 2, "log": ["last"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        start_body(more=1),
        start_body(server="../gateway"),
        start_body(server="gateway/control"),
        start_body(server="Memory"),
        start_body(server=""),
        start_body(server=["memory"]),
        start_body(subject="../x"),
        start_body(subject="a b"),
        start_body(subject="a\n"),
        start_body(subject="x" * 129),
        start_body(subject=""),
        start_body(values=[]),
        start_body(values={"KEY": "x"}),
        start_body(values={"env:PATH": "x"}),
        start_body(values={"user:A\nB": "x"}),
        start_body(values={"user:KEY": 5}),
        start_body(values={"user:KEY": None}),
        start_body(revision="xyz"),
        start_body(revision="a" * 65),
        start_body(replace="true"),
        start_body(force=1),
        start_body()[:-1] + b',"server": "other"}',
        start_body()[:-1],
    ],
)
def test_a_body_that_is_not_exactly_right_is_refused(world: World, body: bytes) -> None:
    status, content = world.ask("POST", "/instances/start", body)
    assert (status, json.loads(content)["error"]) == (422, "bad-request")
    assert world.recorded.asked == []


def test_every_problem_is_told_and_no_value(world: World) -> None:
    body = start_body(server="../x", revision="xyz", values={"user:KEY": {"inner": "hunter2"}, "hunter": "hunter2"})
    message = json.loads(world.ask("POST", "/instances/start", body)[1])["message"]
    for field in ("server", "revision", "values.user:KEY"):
        assert field in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "target",
    [
        "/instances/log?server=../x&subject=a",
        "/instances/log?server=memory&subject=../../etc",
        "/instances/log?server=memory&subject=a%2F..%2Fb",
        "/instances/log?server=memory&subject=a%00",
        "/instances/log?server=memory&subject=a%0d%0aX:%20y",
        "/instances/log?server=memory&server=other&subject=a",
        "/instances/log?server=memory",
        "/instances/log?server=memory&subject=a&more=1",
        "/instances/log?server=memory&subject=a&lines=0",
        "/instances/log?server=memory&subject=a&lines=10001",
        "/instances/log?server=memory&subject=a&lines=-1",
        "/instances/log?server=memory&subject=a&lines=%D9%A1",
        "/instances/log?server=memory&subject=a&follow=yes",
        "/instances/log?server=memory;subject=a",
        "/instances/data?server=memory&subject=",
        "/instances?after=../x",
        "/instances?other=1",
        "/instances/usage?server=memory",
    ],
)
def test_a_query_that_is_not_exactly_right_is_refused(world: World, target: str) -> None:
    status, content = world.ask("GET", target)
    assert (status, json.loads(content)["error"]) == (422, "bad-request")
    assert world.recorded.asked == []


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/containers/json"),
        ("GET", "/v1.41/containers/json"),
        ("GET", "/instances/"),
        ("GET", "/instances/../containers/json"),
        ("GET", "/instances/start"),
        ("GET", "http://docker/instances"),
        ("POST", "/instances"),
        ("POST", "/instances/exec"),
        ("DELETE", "/instances"),
        ("PUT", "/instances/data"),
        ("HEAD", "/instances"),
        ("OPTIONS", "*"),
        ("CONNECT", "docker:80"),
        ("PRI", "*"),
    ],
)
def test_there_is_nothing_else(world: World, method: str, target: str) -> None:
    status, _ = world.ask(method, target)
    assert status in (400, 404, 501)
    assert world.recorded.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        ["Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: -1"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: ٥"],
        ["Content-Length: 99999999999999999999"],
        [f"Content-Length: {LARGEST_BODY + 1}"],
        [],
    ],
)
def test_a_body_whose_length_is_not_clear_is_refused(world: World, headers: list[str]) -> None:
    head = "\r\n".join(["POST /instances/start HTTP/1.1", "Host: x", *headers, "", ""])
    answer = world.raw(head.encode() + start_body())
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert world.recorded.asked == []


def test_one_connection_carries_one_request(world: World) -> None:
    one = "POST /instances/stop HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
    body = json.dumps({"server": "memory", "subject": "a"})
    answer = world.raw((one.format(len(body)) + body + one.format(len(body)) + body).encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in answer
    assert world.recorded.asked == [("stop", Key("memory", "a"), False)]


def test_headers_without_end_are_given_up(world: World) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(300))
    assert world.raw(b"GET /instances HTTP/1.1\r\n" + many + b"\r\n").startswith(b"HTTP/1.1 431")
    long = b"GET /instances?after=" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"
    assert world.raw(long).startswith(b"HTTP/1.1 414")
    assert world.raw(b"GET /instances HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")
    assert world.recorded.asked == []


def test_a_get_with_a_body_is_refused(world: World) -> None:
    assert world.ask("GET", "/instances", b"{}")[0] == 422
    assert world.ask("GET", "/instances", None, "Transfer-Encoding: chunked")[0] == 422
    assert world.ask("GET", "/instances", b"")[0] == 200


def test_the_log_of_one_that_failed_is_its_last_lines(world: World) -> None:
    status, content = world.ask("GET", f"/instances/log?server=memory&subject={SUBJECT}&lines=2")
    assert (status, content) == (200, b"a\r\ntwo\nthree\n\r\n0\r\n\r\n")
    assert world.recorded.asked == [("log", Key("memory", SUBJECT), 2, False)]


def test_removing_data_names_one_instance(world: World) -> None:
    assert world.ask("DELETE", f"/instances/data?server=memory&subject={SUBJECT}")[0] == 204
    assert world.recorded.asked == [("stop", Key("memory", SUBJECT), True)]
    assert world.ask("DELETE", "/instances/data")[0] == 422


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=300) | st.text(max_size=80).map(lambda text: f"GET /instances?{text} HTTP/1.1\r\n\r\n".encode())
)
def test_no_bytes_whatever_end_it(world: World, content: bytes) -> None:
    world.raw(content)
    assert world.ask("GET", "/instances")[0] == 200


def test_only_owner_and_group_may_connect(world: World) -> None:
    assert stat.S_IMODE(world.path.stat().st_mode) == 0o660


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    double: Any = Recorded()
    path = tmp_path / "s"
    interface = Interface(path, cast(Instances, double), cast(Reading, double), peers=frozenset({10_001}))
    threading.Thread(target=interface.serve_forever, daemon=True).start()
    try:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(15)
            connection.connect(str(path))
            try:
                connection.sendall(b"GET /instances HTTP/1.1\r\n\r\n")
                answer = connection.recv(1024)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
        assert (answer, double.asked) == (b"", [])
    finally:
        interface.shutdown()
        interface.server_close()
