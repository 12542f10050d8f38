"""The small pure rules: what a look calls for, limits, back-off, frames, what memory counts, whose things are whose."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher.backing_off import LAST_SECONDS, BackOff
from mcp_launcher.failure import Failure
from mcp_launcher.frames import lines, texts
from mcp_launcher.inventory import Held
from mcp_launcher.owned import Key, Owned, instance_name, labels, owned
from mcp_launcher.reading import memory_bytes
from mcp_launcher.starting import says_listening
from mcp_launcher.state import Container
from mcp_launcher.table import Entry, listing
from mcp_launcher.templates import parse
from mcp_launcher.verdict import beyond_limits, helpers, verdict

from tests.launcher.documents import OTHER, SUBJECT, document, encoded, server

TEMPLATES = parse(encoded(document(server())))
TEMPLATE = TEMPLATES.servers["memory"]
KEY = Key("memory", SUBJECT)
NAME = instance_name("mcp-s-memory", SUBJECT)


def thing(identity: str = "i", role: str = "instance", end: str = "") -> Owned:
    return Owned(id=identity, name=NAME + end, key=KEY, role=role, labels=labels("s", KEY, role))


def held(*states: str, network: bool = True, helper: Owned | None = None) -> Held:
    found = [(thing(f"i{index}"), state) for index, state in enumerate(states)]
    if helper:
        found.append((helper, "created"))
    return Held(
        containers=tuple(
            (each, Container(id=each.id, name=each.name, role=each.role, state=state, created=1, addresses={}))
            for each, state in found
        ),
        networks=(thing("n"),) if network else (),
    )


RUNNING = Entry(state="running", container=thing("i0"))


@pytest.mark.parametrize(
    ("there", "entry", "expected"),
    [
        (held("running"), RUNNING, "leave"),
        (held("running"), None, "adopt"),
        (held("running"), Entry(state="running", container=thing("other")), "adopt"),
        (held("running"), Entry(state="failed"), "adopt"),
        (held("exited"), RUNNING, "clean"),
        (held("created"), None, "clean"),
        (held("dead"), None, "clean"),
        (held("paused"), None, "clean"),
        (held("running", network=False), RUNNING, "clean"),
        (held(), None, "clean"),
        (held(network=False, helper=thing("h", "ready", "-ready")), None, "clean"),
        (held(network=False), RUNNING, "gone"),
        (held(network=False), Entry(state="failed"), "leave"),
        (held(network=False), None, "leave"),
    ],
)
def test_what_a_look_calls_for(there: Held, entry: Entry | None, expected: str) -> None:
    assert verdict(there, entry, TEMPLATE, ()) == expected


def test_what_has_no_template_is_stopped_and_forgotten() -> None:
    assert verdict(held("running"), RUNNING, None, ()) == "stop"
    assert verdict(held(), None, None, ()) == "stop"
    assert verdict(held(network=False), RUNNING, None, ()) == "forget"
    assert verdict(held(network=False), None, None, ()) == "leave"


def test_an_export_is_let_alone() -> None:
    export = thing("h", "delivery", "-export-0123abcd")
    there = held(network=False, helper=export)
    assert verdict(there, None, TEMPLATE, ()) == "clean"
    assert verdict(there, None, TEMPLATE, {export.name}) == "leave"
    assert helpers(there, ()) == [export]
    assert helpers(there, {export.name}) == []
    assert helpers(held("running", helper=thing("d", "delivery", "-delivery")), ()) == []


@settings(deadline=None)
@given(st.sets(st.builds(Key, st.sampled_from(["a", "b", "c"]), st.sampled_from([SUBJECT, OTHER, "x", "y"]))))
def test_limits_hold_for_each_user_and_for_all(counted: set[Key]) -> None:
    few = parse(encoded(document(server(), limits={"total": 6, "perUser": 2, "startsAtOnce": 1})))
    refusal = beyond_limits(KEY, counted, few)
    own = sum(key.subject == SUBJECT for key in counted)
    assert (refusal is None) == (own < 2 and len(counted) < 6)
    if refusal:
        assert refusal.code == ("limit-user" if own >= 2 else "limit-total")


def test_waits_double_up_to_a_minute_and_end_with_a_success() -> None:
    back_off, failure = BackOff(), Failure("start-failed", "why", log=["last"])
    waits = [back_off.failed(KEY, failure, 0.0) for _ in range(9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    refusal = back_off.refusal(KEY, 20.0)
    assert refusal is not None
    assert (refusal.code, refusal.log, refusal.retry_seconds) == ("back-off", ("last",), 40.0)
    assert back_off.refusal(Key("memory", OTHER), 20.0) is None
    assert back_off.refusal(KEY, LAST_SECONDS) is None
    back_off.reset(KEY)
    assert back_off.refusal(KEY, 0.0) is None
    assert back_off.failed(KEY, failure, 0.0) == 1


def reader(content: bytes, sizes: list[int]) -> Any:
    rest = [content]

    def read(count: int) -> bytes:
        count = min(count, sizes.pop() if sizes else count)
        part, rest[0] = rest[0][:count], rest[0][count:]
        return part

    return read


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(1, 9), max_size=60),
    st.integers(0, 300),
)
def test_frames_are_joined_however_they_come(parts: list[bytes], sizes: list[int], cut: int) -> None:
    stream = b"".join(b"\x01\0\0\0" + len(part).to_bytes(4, "big") + part for part in parts)
    whole = b"".join(parts)
    assert b"".join(texts(reader(stream, list(sizes)))) == whole
    broken = b"".join(texts(reader(stream[:cut], list(sizes))))
    assert whole.startswith(broken)
    found = list(lines(reader(stream, list(sizes))))
    assert len(found) == whole.count(b"\n") + (not whole.endswith(b"\n") and bool(whole))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"level": "info", "session": "", "text": "listening on 0.0.0.0:8080"}', True),
        ('{"level": "info", "session": "shared", "text": "listening on 0.0.0.0:8080"}', False),
        ('{"level": "info", "session": "", "text": "not listening on"}', False),
        ('{"level": "error", "session": "", "text": "listening on"}', False),
        ("listening on 0.0.0.0:8080", False),
        ('["listening on"]', False),
        ("", False),
    ],
)
def test_only_the_runners_own_word_says_that_it_listens(line: str, expected: bool) -> None:
    assert says_listening(line) is expected


def test_memory_that_the_kernel_gives_back_does_not_count() -> None:
    assert memory_bytes({"memory_stats": {"usage": 100, "stats": {"total_inactive_file": 30}}}) == 70
    assert memory_bytes({"memory_stats": {"usage": 100, "stats": {"inactive_file": 40}}}) == 60
    assert memory_bytes({"memory_stats": {"usage": 100}}) == 100
    assert memory_bytes({"memory_stats": {}}) is None
    assert memory_bytes({}) is None


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("quirky_euler", {}),
        ("mcp-s-gateway-control", {}),
        (instance_name("mcp-s-memory", OTHER), {}),
        (NAME + "-data", {}),
        (NAME, {"mcp-hosting.stack": "other"}),
        (NAME, {"mcp-hosting.role": "server"}),
        (NAME, {"mcp-hosting.role": "edge"}),
        (NAME, {"mcp-hosting.subject": OTHER}),
        (NAME, {"mcp-hosting.subject": ""}),
        (NAME, {"mcp-hosting.subject": "../x"}),
        (NAME, {"mcp-hosting.part": "../x"}),
    ],
)
def test_what_only_says_that_it_is_an_instance_is_none(name: str, changed: dict[str, str]) -> None:
    marks = labels("s", KEY, "instance")
    assert owned("i", NAME, marks, "s") is not None
    assert owned("i", name, {**marks, **changed}, "s") is None


def test_delivery_of_a_server_for_everyone_is_none_of_an_instance() -> None:
    marks = {"mcp-hosting.stack": "s", "mcp-hosting.part": "time", "mcp-hosting.role": "delivery"}
    assert owned("i", "mcp-s-time-delivery", marks, "s") is None
    assert owned("i", "mcp-s-gateway-delivery", {**marks, "mcp-hosting.part": "gateway"}, "s") is None


def test_equal_content_has_an_equal_version() -> None:
    current = replace(RUNNING, template=TEMPLATE.digest)
    one = listing({KEY: current}, {KEY}, TEMPLATES)
    assert one == listing({KEY: current}, {KEY}, TEMPLATES)
    assert one["version"] != listing({KEY: current}, set(), TEMPLATES)["version"]
    assert one["version"] != listing({KEY: current}, {KEY}, None)["version"]
    assert one["data"] == [{"server": "memory", "subject": SUBJECT}]
