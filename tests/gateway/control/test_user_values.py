"""What users give and what the stack declares: which value counts, where it goes, where it opens, when it is gone."""

from __future__ import annotations

import io
import json
import logging
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.audit.events import AuditLog
from mcp_gateway.credentials import user_values
from mcp_gateway.credentials.effective import effective, problems
from mcp_gateway.credentials.user_values import OpenedValues, record_changes
from mcp_gateway.documents.gateway import parse_gateway_document
from mcp_gateway.documents.servers import Server
from mcp_gateway.documents.user_settings import LONGEST_BYTES, Option, UserSetting
from mcp_gateway.login.accounts import subjects
from mcp_gateway.state import schema
from mcp_gateway.state.envelope import write_secret
from sqlalchemy import insert, select

from tests.gateway.control.control_site import (
    PUBLIC_URL,
    Site,
    gateway_document,
    server,
    setting,
    single_user_server,
    user,
)
from tests.gateway.rules import rule

KEYS = ["A", "B", "C"]
TEXTS = st.sampled_from(["", "x", "Bearer x", "Bearer ", "eu", "é", "a\nb", "a\x00", " x", "x ", "\u2028", "y" * 17000])


def _settings(keys: list[str]) -> st.SearchStrategy[tuple[UserSetting, ...]]:
    options = st.sampled_from([(), (Option("Europe", "eu", ""), Option("", "x", ""))])
    return st.tuples(
        *(
            st.builds(
                UserSetting,
                key=st.just(key),
                usage=st.sampled_from(["header", "env", "file"]),
                name=st.just(f"Name {key}"),
                description=st.just(""),
                required=st.booleans(),
                sensitive=st.booleans(),
                prefix=st.sampled_from(["", "Bearer "]),
                options=options,
            )
            for key in keys
        )
    )


def _server(settings: tuple[UserSetting, ...], declared: dict[str, dict[str, str]]) -> Server:
    raw = gateway_document(servers=[single_user_server("memory")])
    memory = parse_gateway_document(json.dumps(raw).encode()).servers[0]
    fields = {name: getattr(memory, name) for name in Server.__slots__}
    return Server(**fields | {"user_settings": settings, "user_values": declared})


BASE = _server((), {})


@given(
    _settings(KEYS),
    st.dictionaries(st.sampled_from([*KEYS, "LEFT"]), TEXTS),
    st.dictionaries(st.sampled_from(KEYS), TEXTS),
    st.dictionaries(st.sampled_from(KEYS), TEXTS),
)
def test_the_stacks_value_stands_above_the_users_and_nothing_that_cannot_be_carried_is_sent(
    settings: tuple[UserSetting, ...], mine: dict[str, str], declared: dict[str, str], bobs: dict[str, str]
) -> None:
    fields = {name: getattr(BASE, name) for name in Server.__slots__}
    found = effective(
        Server(**fields | {"user_settings": settings, "user_values": {"alice": declared, "bob": bobs}}), "alice", mine
    )
    assert set(found.values) <= {each.key for each in settings}
    for each in settings:
        raw = declared.get(each.key) or mine.get(each.key, "")
        value = found.values.get(each.key)
        assert (each.key in found.declared) == bool(declared.get(each.key))
        assert (each in found.missing) == (each.required and value is None)
        assert (each.key in found.refused) == (bool(raw) and value is None)
        if value is None:
            assert not raw or problems(each, raw)
            continue
        assert value in {raw, each.prefix + raw}
        assert value.startswith(each.prefix)
        assert value != each.prefix * 2 + raw.removeprefix(each.prefix) or not each.prefix
        assert len(value.encode()) <= LONGEST_BYTES[each.usage]
        assert "\x00" not in value
        if each.options:
            assert raw in {"eu", "x"}
        if each.usage == "header":
            assert "\n" not in value
            assert value == value.strip()
            value.encode("latin-1")


@given(_settings(["A"]), st.text(max_size=20))
def test_a_problem_never_quotes_the_value(settings: tuple[UserSetting, ...], value: str) -> None:
    secret = f"hunter2{value}\x00"
    problem = problems(settings[0], secret)
    assert problem is not None
    assert "hunter2" not in problem
    server_ = _server(settings, {"alice": {"A": "hunter2"}})
    assert "hunter2" not in repr(server_)
    assert "hunter2" not in repr(effective(server_, "alice", {"A": "hunter2"}))


WITH_KEY = server(
    "notes",
    access={"everyone": True, "users": [], "groups": []},
    userSettings=[setting("X-Key", prefix="Key "), setting("X-Region", required=False, options=[], sensitive=False)],
)
MEMORY = single_user_server("memory", userSettings=[setting("API_KEY", usage="env")])


@pytest.fixture
async def owing(site: Site) -> Site:
    """A site whose servers ask for values: `notes` of everybody, `memory` of alice."""
    assert await site.deliver(gateway_document(servers=[WITH_KEY, MEMORY])) == []
    return site


def _subject(site: Site, login: str) -> str:
    with site.database.begin() as db:
        return subjects(db)[login]


def _put(site: Site, login: str, name: str, changes: dict[str, str | None]) -> None:
    subject = _subject(site, login)
    with site.database.begin() as db:
        user_values.put(db, site.control.upkeep.envelope, subject, name, changes, int(site.clock()))


def _given(site: Site, login: str, name: str) -> dict[str, str]:
    subject = _subject(site, login)
    with site.database.begin() as db:
        return user_values.given(db, site.control.upkeep.envelope, subject, name)


async def _edge_server(site: Site, name: str) -> dict[str, Any]:
    await site.control.feed.refresh()
    document = await site.edge()
    found: dict[str, Any] = next(each for each in document["servers"] if each["id"] == name)
    return found


async def test_a_value_from_the_portal_reaches_the_edge_for_its_user_and_server_alone(owing: Site) -> None:
    alice, bob = _subject(owing, "alice"), _subject(owing, "bob")
    before = await _edge_server(owing, "notes")
    assert before["missing"] == {alice: ["X-key"], bob: ["X-key"]}
    assert before["userHeaders"] == {}
    _put(owing, "alice", "notes", {"X-Key": "alices"})
    _put(owing, "alice", "memory", {"API_KEY": "env only"})
    after = await _edge_server(owing, "notes")
    assert after["userHeaders"] == {alice: {"X-Key": "Key alices"}}
    assert after["missing"] == {bob: ["X-key"]}
    memory = await _edge_server(owing, "memory")
    assert (memory["userHeaders"], memory["missing"], memory["upstream"]) == ({}, {}, None)
    _put(owing, "alice", "notes", {"X-Key": None})
    assert (await _edge_server(owing, "notes"))["missing"] == {alice: ["X-key"], bob: ["X-key"]}


async def test_what_the_stack_declares_stands_above(owing: Site) -> None:
    _put(owing, "alice", "notes", {"X-Key": "alices"})
    declared = WITH_KEY | {"userValues": {"alice": {"X-Key": "Key stacks"}}}
    assert await owing.deliver(gateway_document(servers=[declared, MEMORY])) == []
    assert (await _edge_server(owing, "notes"))["userHeaders"] == {
        _subject(owing, "alice"): {"X-Key": "Key stacks"},
    }
    assert _given(owing, "alice", "notes") == {"X-Key": "alices"}


async def test_a_value_that_no_longer_fits_its_setting_counts_as_missing(owing: Site) -> None:
    """Else a line break, kept for a variable that is now a header, would spoil the document of every user."""
    _put(owing, "alice", "notes", {"X-Key": "two\nlines"})
    found = await _edge_server(owing, "notes")
    assert found["userHeaders"] == {}
    assert found["missing"][_subject(owing, "alice")] == ["X-key"]


@rule(53)
@pytest.mark.parametrize("change", [{"user_id": "bob"}, {"server": "memory"}, {"key": "X-Region"}])
async def test_a_sealed_value_opens_in_its_own_row_only(
    owing: Site, change: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    _put(owing, "alice", "notes", {"X-Key": "alices"})
    if "user_id" in change:
        change = {"user_id": _subject(owing, "bob")}
    with owing.database.begin() as db:
        row = dict(db.execute(select(schema.user_values)).mappings().one())
        db.execute(insert(schema.user_values).values(row | change))
    login = "bob" if "user_id" in change else "alice"
    with caplog.at_level(logging.ERROR):
        stolen = _given(owing, login, change.get("server", "notes"))
    assert stolen == ({"X-Key": "alices"} if "key" in change else {})
    assert "can't be opened" in caplog.text
    assert "alices" not in caplog.text
    headers = (await _edge_server(owing, "notes"))["userHeaders"]
    assert headers == {_subject(owing, "alice"): {"X-Key": "Key alices"}}


async def test_keys_are_told_with_their_time_and_without_decrypting(owing: Site) -> None:
    _put(owing, "alice", "notes", {"X-Key": "alices"})
    with owing.database.begin() as db:
        db.execute(schema.user_values.update().values(value=b"no longer sealed by anything"))
        found = user_values.stored_keys(db, subjects(db)["alice"], "notes")
    assert list(found) == ["X-Key"]
    assert abs(found["X-Key"] - time.time()) < 60


NOBODY = {"everyone": False, "users": [], "groups": []}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"servers": [MEMORY]}, {"memory"}),
        ({"servers": [WITH_KEY | {"access": NOBODY}, MEMORY]}, {"memory"}),
        ({"servers": [WITH_KEY | {"userSettings": [setting("X-Other")]}, MEMORY]}, {"memory"}),
        ({"servers": [WITH_KEY, MEMORY], "users": [user("bob")]}, set()),
        ({"servers": [WITH_KEY, MEMORY]}, {"notes", "memory"}),
    ],
    ids=["the server left", "the user lost access", "the setting left", "the user left", "nothing changed"],
)
async def test_values_go_with_the_right_to_use_them(owing: Site, change: dict[str, Any], left: set[str]) -> None:
    _put(owing, "alice", "notes", {"X-Key": "alices"})
    _put(owing, "alice", "memory", {"API_KEY": "alices"})
    assert await owing.deliver(gateway_document(**change)) == []
    with owing.database.begin() as db:
        assert set(db.execute(select(schema.user_values.c.server)).scalars()) == left
    removed = owing.events("user-values-removed")
    assert len(removed) == (0 if left in ({"notes", "memory"}, set()) else 1)
    # Given again later, the same names don't bring the values back.
    assert await owing.deliver(gateway_document(servers=[WITH_KEY, MEMORY])) == []
    assert ("notes" in left) == (_given(owing, "alice", "notes") == {"X-Key": "alices"})


async def test_values_are_nowhere_in_clear(owing: Site, capfd: pytest.CaptureFixture[str]) -> None:
    changes: dict[str, str | None] = {"X-Key": "hunter2", "X-Region": None}
    _put(owing, "alice", "notes", changes)
    record_changes(owing.control.applier.audit, "alice", "notes", changes, by="user", address="192.0.2.1")
    await _edge_server(owing, "notes")
    (given_event,), (removed_event,) = owing.events("user-values-given"), owing.events("user-values-removed")
    assert (given_event["keys"], removed_event["keys"], given_event["login"]) == ("X-Key", "X-Region", "alice")
    assert "hunter2" not in owing.audit.getvalue() + "".join(capfd.readouterr())
    assert "hunter2" not in repr(owing.control.feed) + repr(owing.control.feed.user_values)
    owing.database.close()
    assert b"hunter2" not in b"".join(path.read_bytes() for path in owing.folder.parent.rglob("gateway.db*"))


async def test_only_rows_that_changed_are_decrypted_anew(owing: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of the edge's document must not decrypt each user's values each time."""
    envelope, count, many = owing.control.upkeep.envelope, 0, 200
    with owing.database.begin() as db:
        template = dict(db.execute(select(schema.users)).mappings().first() or {})
        for number in range(many):
            subject = str(uuid.uuid4())
            db.execute(insert(schema.users).values(template | {"id": subject, "login": f"user{number}"}))
            user_values.put(db, envelope, subject, "notes", {"X-Key": str(number)}, 1)
    opened, really = OpenedValues(), envelope.open

    def counted(*arguments: Any) -> bytes:
        nonlocal count
        count += 1
        return really(*arguments)

    monkeypatch.setattr(envelope, "open", counted)
    with owing.database.begin() as db:
        first = opened.read(db, envelope, [("notes", ["X-Key"])])
        assert (len(first), count) == (many, many)
        assert opened.read(db, envelope, [("notes", ["X-Key"])]) == first
        assert count == many
        changed = next(iter(first))[0]
        user_values.put(db, envelope, changed, "notes", {"X-Key": "new"}, 1)
        assert opened.read(db, envelope, [("notes", ["X-Key"])])[changed, "notes"] == {"X-Key": "new"}
        assert count == many + 1
        assert opened.read(db, envelope, [("notes", ["Other"]), ("memory", [])]) == {}


async def test_the_document_of_a_former_release_waits_for_the_new_one_and_says_so(site: Site) -> None:
    old = json.dumps(gateway_document() | {"version": 1}).encode()
    with site.database.begin() as db:
        write_secret(db, site.control.upkeep.envelope, "gateway-document", old)
    site.control.live.document = None
    await site.control.applier.restore()
    (event,) = site.events("kept-document-refused")
    assert event["problems"].startswith("version: must be 2")
    assert "make up" in event["remedy"]
    assert (await site.browser().get("/sign-in")).status_code == 503
    assert await site.deliver(gateway_document(publicUrl=PUBLIC_URL, stack="after")) == []
    assert (await site.browser().get("/sign-in")).status_code == 200


def test_no_change_is_no_event() -> None:
    lines = io.StringIO()
    record_changes(AuditLog(lambda: 0.0, lines), "alice", "notes", {}, by="user", address=None)
    assert lines.getvalue() == ""
