"""Key rotation: everything moves, nothing is lost at whatever point it ends, and the former keys open nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from mcp_gateway.control.serve import open_state
from mcp_gateway.credentials import user_values
from mcp_gateway.login.accounts import subjects
from mcp_gateway.state import schema
from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import Envelope, read_secret, write_secret
from mcp_gateway.state.key_provider import KeyFile, KeyUnavailable
from mcp_gateway.state.rotation import BATCH, KeyRotation, RotationStopped
from mcp_gateway.state.sealed_columns import SEALED_COLUMNS
from mcp_gateway.state.signing_keys import load_signing_keys, rotate_signing_keys
from sqlalchemy import Connection, LargeBinary, insert, select
from starlette.concurrency import run_in_threadpool

from tests.gateway.control.control_site import Site, gateway_document, server, setting
from tests.gateway.control.flows import register, signed_in
from tests.gateway.control.test_control_process import environment, run_part, start
from tests.gateway.rules import rule

MANY = BATCH + 7
"""More values than one batch moves."""


class State:
    """The state's files, opened as a start of the control side opens them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key_file = folder / "master.key"
        self.opened: list[Database] = []

    def open(self) -> tuple[Database, Envelope]:
        """As after a restart."""
        database, envelope = open_state(f"sqlite:///{self.folder / 'gateway.db'}", self.key_file)
        self.opened.append(database)
        return database, envelope

    def close(self) -> None:
        """As at a crash: what isn't committed is gone."""
        while self.opened:
            self.opened.pop().close()

    def fill(self, database: Database, envelope: Envelope) -> None:
        """Give every sealed column values."""
        with database.begin() as db:
            rotate_signing_keys(db, envelope, 1)
            write_secret(db, envelope, "form-key", b"form")
            add_user(db)
            values: dict[str, str | None] = {f"KEY_{number}": f"value-{number}" for number in range(MANY)}
            user_values.put(db, envelope, "u", "notes", values, 1)

    def check(self) -> None:
        """Everything that was given opens after a restart."""
        database, envelope = self.open()
        with database.begin() as db:
            assert len(load_signing_keys(db, envelope)) == 1
            assert read_secret(db, envelope, "form-key") == b"form"
            given = user_values.given(db, envelope, "u", "notes")
        assert given == {f"KEY_{number}": f"value-{number}" for number in range(MANY)}


def add_user(db: Connection) -> None:
    """A user without a password that fits."""
    db.execute(
        insert(schema.users).values(
            id="u",
            login="u",
            display_name="",
            password_hash="",
            declared_hash="",
            tokens_valid_from=0,
            created_at=1,
        )
    )


@pytest.fixture
def state(tmp_path: Path, empty_database: Path) -> Iterator[State]:
    """A state with values."""
    (tmp_path / "gateway.db").write_bytes(empty_database.read_bytes())
    made = State(tmp_path)
    made.fill(*made.open())
    yield made
    made.close()


def rotate(database: Database, envelope: Envelope, now: int = 2) -> int:
    """A whole rotation; how many values were moved."""
    rotation, moved = KeyRotation(database, envelope), 0
    rotation.begin(now)
    while batch := rotation.move():
        moved += batch
    assert rotation.finish()
    return moved


def raw(database: Database) -> dict[tuple[str, str, str], bytes]:
    """Every sealed value as it is stored, and the wrapped data keys."""
    found = {}
    with database.begin() as db:
        for column in SEALED_COLUMNS:
            for row in db.execute(select(column.table)).mappings():
                found[column.table.name, column.row(row), column.column] = bytes(row[column.column])
    return found


def test_every_column_that_is_sealed_is_known_to_rotation() -> None:
    binary = {
        (table.name, column.name)
        for table in schema.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    sealed = {(column.table.name, column.column) for column in SEALED_COLUMNS}
    assert binary - sealed == {("data_keys", "wrapped")}


@rule(53)
def test_after_a_rotation_the_former_keys_open_nothing(state: State) -> None:
    database, envelope = state.open()
    before, former_file, former_keys = raw(database), state.key_file.read_bytes(), dict(envelope.keys.by_id)
    assert rotate(database, envelope) == len(before)
    after = raw(database)
    assert after.keys() == before.keys()
    with database.begin() as db:
        wrapped = db.execute(select(schema.data_keys)).all()
    assert [row.id for row in wrapped] == [envelope.keys.current] == list(envelope.keys.by_id)
    assert envelope.keys.current not in former_keys
    for sealed in after.values():
        assert str(uuid.UUID(bytes=sealed[1:17])) not in former_keys
    (former_key,) = former_keys.values()
    for key in (former_key, former_file):
        for content in [wrapped[0].wrapped, *(sealed[17:] for sealed in after.values())]:
            with pytest.raises(InvalidTag):
                AESGCM(key).decrypt(content[:12], content[12:], None)
    with pytest.raises(KeyUnavailable):
        KeyFile(state.key_file, (former_file,)).unwrap(wrapped[0].wrapped, wrapped[0].id)
    state.close()
    # Neither in the database nor in its log: a copy of the files made from now on holds nothing for the former keys.
    stored = b"".join(path.read_bytes() for path in state.folder.glob("gateway.db*"))
    assert not [place for place, sealed in before.items() if sealed in stored]
    assert (len(state.key_file.read_bytes()), stat.S_IMODE(state.key_file.stat().st_mode)) == (32, 0o600)
    assert [path.name for path in state.folder.glob("master.key*")] == ["master.key"]
    state.check()
    state.close()
    state.key_file.write_bytes(former_file)
    with pytest.raises(KeyUnavailable, match="restore the key file that belongs to it"):
        state.open()


def test_rotating_again_and_again_within_a_second_is_fine(state: State) -> None:
    for _ in range(3):
        rotate(*state.open())
        state.check()
        state.close()


class Crash(BaseException):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, point: int) -> list[str]:
    """Let the process end at the n-th point that matters on a disk; the points that were passed."""
    passed: list[str] = []

    def pass_by(name: str) -> None:
        passed.append(name)
        if len(passed) > point:
            raise Crash(name)

    begin, settle, replace, write = Database.begin, Database.settle, Path.replace, os.fsync

    @contextlib.contextmanager
    def transaction(self: Database) -> Iterator[Connection]:
        pass_by("before a transaction")
        with begin(self) as db:
            yield db
            pass_by("before a commit")
        pass_by("after a commit")

    def durable(self: Database) -> bool:
        pass_by("before the checkpoint")
        done = settle(self)
        pass_by("after the checkpoint")
        return done

    def renamed(self: Path, target: Path) -> Path:
        pass_by("before the key file is replaced")
        moved = replace(self, target)
        pass_by("after the key file is replaced")
        return moved

    def synced(handle: int) -> None:
        pass_by("before a sync")
        write(handle)

    monkeypatch.setattr(Database, "begin", transaction)
    monkeypatch.setattr(Database, "settle", durable)
    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    return passed


@rule(53)
def test_a_crash_at_any_point_loses_nothing_and_a_second_rotation_ends_it(tmp_path: Path, empty_database: Path) -> None:
    point, points = 0, []
    while True:
        folder = tmp_path / str(point)
        folder.mkdir()
        (folder / "gateway.db").write_bytes(empty_database.read_bytes())
        state = State(folder)
        database, envelope = state.open()
        state.fill(database, envelope)
        former_file, former_ids = state.key_file.read_bytes(), set(envelope.keys.by_id)
        with pytest.MonkeyPatch.context() as monkeypatch:
            passed = crash_at(monkeypatch, point)
            try:
                rotate(database, envelope)
            except Crash as crash:
                points.append(str(crash))
                ended = False
            else:
                ended = True
        state.close()
        state.check()
        rotate(*state.open(), now=3)
        state.close()
        state.check()
        database, envelope = state.open()
        assert not former_ids & set(envelope.keys.by_id)
        assert len(envelope.keys.by_id) == 1
        assert former_file not in state.key_file.read_bytes()
        assert not envelope.provider.rotating
        assert list(folder.glob("master.key*")) == [state.key_file]
        state.close()
        if ended:
            assert len(points) == len(passed) > 20
            return
        point += 1


def test_a_crash_after_which_the_same_process_lives_on_is_no_different(state: State) -> None:
    """An error of the disk or the database ends the rotation but not the control side, which goes on to seal."""
    database, envelope = state.open()
    point = 0
    while True:
        with pytest.MonkeyPatch.context() as monkeypatch:
            crash_at(monkeypatch, point)
            try:
                rotate(database, envelope, now=point + 2)
            except Crash:
                ended = False
            else:
                ended = True
        with database.begin() as db:
            user_values.put(db, envelope, "u", "notes", {f"KEY_{point % MANY}": f"value-{point % MANY}"}, 1)
        state.check()
        if ended:
            return
        point += 1


def test_a_value_that_does_not_open_stops_it_and_the_former_keys_stay(state: State) -> None:
    database, envelope = state.open()
    with database.begin() as db:
        sealed = db.execute(select(schema.secret_values.c.value)).scalar_one()
        db.execute(insert(schema.secret_values).values(name="moved here", value=sealed))
    with pytest.raises(RotationStopped, match="moved here in the table secret_values can't be opened"):
        rotate(database, envelope)
    state.check()
    with database.begin() as db:
        db.execute(schema.secret_values.delete().where(schema.secret_values.c.name == "moved here"))
    rotate(database, envelope)
    state.check()


@rule(53)
def test_the_former_key_stays_while_the_database_is_not_durable(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut the database may be what it was before, and then needs that key."""
    database, envelope = state.open()
    former = state.key_file.read_bytes()
    with monkeypatch.context() as busy:
        busy.setattr(Database, "settle", lambda self: False)
        with pytest.raises(RotationStopped, match="Rotate again"):
            rotate(database, envelope)
    assert state.key_file.read_bytes()[32:] == former
    state.check()
    rotate(database, envelope)
    assert len(state.key_file.read_bytes()) == 32
    state.check()


def test_a_reader_that_holds_the_log_is_noticed(state: State) -> None:
    database, envelope = state.open()
    with contextlib.closing(sqlite3.connect(state.folder / "gateway.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchone()
        with database.begin() as db:
            write_secret(db, envelope, "another", b"value")
        with contextlib.closing(database.engine.raw_connection()) as impatient:
            impatient.cursor().execute("PRAGMA busy_timeout=1")
        assert not database.settle()
    assert database.settle()
    assert (state.folder / "gateway.db-wal").stat().st_size == 0


async def test_everything_goes_on_while_keys_rotate(site: Site, open_site: Callable[[], Site]) -> None:
    notes = server("notes", userSettings=[setting("X-Key")])
    assert await site.deliver(gateway_document(servers=[notes, server("time")])) == []
    app, browser = await register(site), await signed_in(site)
    envelope, written = site.control.upkeep.envelope, 0
    with site.database.begin() as db:
        alice = subjects(db)["alice"]
        filling: dict[str, str | None] = {f"OTHER_{number}": "x" * 50 for number in range(6 * BATCH)}
        user_values.put(db, envelope, alice, "notes", filling, 1)
    operator = site.browser()
    rotating = asyncio.create_task(operator.post("/internal/rotate-keys", timeout=60))

    def write(number: int) -> None:
        with site.database.begin() as db:
            user_values.put(db, envelope, alice, "notes", {"X-Key": str(number)}, 1)
            user_values.put(db, envelope, alice, "notes", {f"NEW_{number}": str(number)}, 1)

    second = None
    while not rotating.done():
        written += 1
        await run_in_threadpool(write, written)
        if second is None and site.events("key-rotation-begun"):
            second = await operator.post("/internal/rotate-keys")
        await app.connect(browser)
        await site.control.upkeep.run_once()
    answer = await rotating
    assert answer.status_code == 200
    assert set(answer.json()) == {"moved"}
    assert answer.json()["moved"] >= 6 * BATCH
    assert second is not None
    assert second.status_code == 409
    assert written > 1
    (event,) = site.events("keys-rotated")
    assert event["values"] == answer.json()["moved"]
    assert not site.events("key-rotation-failed")
    headers = (await site.edge())["servers"][0]["userHeaders"]
    assert headers == {alice: {"X-Key": str(written)}}
    site.database.close()
    # A restart, on what is on the disk.
    folder = site.folder.parent
    database, fresh = open_state(f"sqlite:///{folder / 'state' / 'gateway.db'}", folder / "keys" / "master.key")
    with database.begin() as db:
        given = user_values.given(db, fresh, alice, "notes")
        assert read_secret(db, fresh, "gateway-document") is not None
    assert len(given) == 6 * BATCH + 1 + written
    assert all(given[f"NEW_{number}"] == str(number) for number in range(1, written + 1))
    database.close()


async def test_a_rotation_that_stops_is_told_without_a_secret(site: Site) -> None:
    with site.database.begin() as db:
        db.execute(insert(schema.secret_values).values(name="odd", value=b"\x01" + b"?" * 60))
    answer = await site.browser().post("/internal/rotate-keys")
    assert answer.status_code == 500
    assert "odd in the table secret_values" in answer.json()["error"]
    assert site.events("key-rotation-failed")[0]["reason"] == answer.json()["error"]
    assert (await site.browser().get("/internal/rotate-keys")).status_code == 405
    assert (await site.browser().get("/healthz")).status_code == 200


def test_the_command_goes_on_after_the_control_side_was_killed(tmp_path: Path) -> None:
    running = start(tmp_path)
    try:
        running.wait()
        asking = server("time", userSettings=[setting(f"OTHER_{number}") for number in range(10 * BATCH)])
        assert running.deliver(gateway_document(servers=[asking])).returncode == 0
        database, envelope = open_state(
            f"sqlite:///{tmp_path / 'state' / 'gateway.db'}", tmp_path / "keys" / "master.key"
        )
        values: dict[str, str | None] = {f"OTHER_{number}": f"hunter2-{number}" for number in range(10 * BATCH)}
        with database.begin() as db:
            alice = subjects(db)["alice"]
            user_values.put(db, envelope, alice, "time", values, 1)
        former = (tmp_path / "keys" / "master.key").read_bytes()
        command = [sys.executable, "-m", "mcp_gateway", "rotate-keys", str(tmp_path / "control.sock")]
        asked = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while len((tmp_path / "keys" / "master.key").read_bytes()) == 32:
            assert asked.poll() is None
        running.process.send_signal(signal.SIGKILL)
        _, said = asked.communicate(timeout=30)
        assert asked.returncode == 1
        assert "rotate again" in said
    finally:
        running.process.kill()
        running.process.communicate()
    database.close()
    again = start(tmp_path)
    try:
        again.wait()
        done = run_part("rotate-keys", str(tmp_path / "control.sock"))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("The keys are rotated: ")
        twice = run_part("rotate-keys", str(tmp_path / "control.sock"))
        assert twice.returncode == 0
    finally:
        again.process.terminate()
        said, errors = again.process.communicate(timeout=30)
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert events.count("key-rotation-unfinished") == 1
    assert events.count("keys-rotated") == 2
    assert "hunter2" not in said + errors + done.stdout
    database, envelope = open_state(f"sqlite:///{tmp_path / 'state' / 'gateway.db'}", tmp_path / "keys" / "master.key")
    with database.begin() as db:
        assert user_values.given(db, envelope, alice, "time") == values
    database.close()
    assert former not in (tmp_path / "keys" / "master.key").read_bytes()


def test_the_command_says_when_nobody_answers(tmp_path: Path) -> None:
    done = run_part("rotate-keys", str(tmp_path / "none.sock"))
    assert done.returncode == 1
    assert "did not answer" in done.stderr
