"""Who called what is recorded, durably and without what was said; when it can't be, calls are refused."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from mcp_gateway.edge.audit import Audit, Record

from tests.gateway.edge.edge_world import World

CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "buy", "arguments": {"card": "4111-secret"}},
}


def record(tool: str = "buy") -> Record:
    return Record(1.0, "sub", "client", "shop", "tools/call", tool, 200, 1.5, 10, 20, b"session", None)


def test_a_call_is_recorded_with_who_what_and_how_long(world: World) -> None:
    before = world.audited()
    reply = world.call(CALL, "shop")
    entry = world.audit(1, since=before)[0]
    assert entry.pop("ms") > 0
    assert abs(entry.pop("time") - time.time()) < 10
    assert entry == {
        "subject": "sub-alice",
        "client": "client-1",
        "server": "shop",
        "method": "tools/call",
        "tool": "buy",
        "status": 200,
        "bytesIn": len(json.dumps(CALL)),
        "bytesOut": len(reply.body),
        "session": None,
        "refused": None,
    }


def test_refusals_are_recorded_with_their_reason_and_nothing_holds_what_was_said(world: World) -> None:
    before = world.audited()
    world.call({**CALL, "params": {"name": "sell", "arguments": {"card": "4111-secret"}}}, "shop")
    world.call(b"{", "shop")
    world.call(CALL, "notes", subject="sub-bob")
    entries = world.audit(3, since=before)
    assert [(entry["status"], entry["refused"]) for entry in entries] == [
        (200, "tool not allowed"),
        (400, "ambiguous or invalid JSON"),
        (404, "unknown server"),
    ]
    assert "4111" not in json.dumps(world.audit(0))
    mode = next((world.folder / "audit").glob("*.jsonl")).stat().st_mode
    assert mode & 0o077 == 0


def new_audit(folder: Path, *, refuse: bool = True, file_bytes: int = 0, files: int = 0, queue: int = 100) -> Audit:
    return Audit(folder, "audit-0", refuse=refuse, file_bytes=file_bytes, files=files, queue=queue)


def lines(folder: Path) -> list[str]:
    return [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def test_files_are_closed_at_their_size_and_the_oldest_go(tmp_path: Path) -> None:
    audit = new_audit(tmp_path, file_bytes=1000, files=2)
    for number in range(12):
        for _ in range(3):
            audit.reserve()
            audit.write(record(f"tool-{number}"))
        time.sleep(0.12)
    audit.close()
    files = sorted(tmp_path.glob("*.jsonl"))
    assert len(files) == 3
    assert all(file.stat().st_size <= 1000 for file in files)
    assert sum("tool-11" in line for line in lines(tmp_path)) == 3
    assert all(json.loads(line) for line in lines(tmp_path))


def test_calls_are_refused_while_the_queue_is_full(tmp_path: Path) -> None:
    audit = new_audit(tmp_path, queue=2)
    for _ in range(2):
        assert not audit.full
        audit.reserve()
    assert audit.full
    audit.write(record())
    audit.write(record())
    for _ in range(100):
        if not audit.full:
            break
        time.sleep(0.02)
    assert not audit.full
    audit.close()
    assert len(lines(tmp_path)) == 2


@pytest.mark.parametrize("refuse", [True, False])
def test_a_full_disk_refuses_calls_until_there_is_room_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: bool
) -> None:
    full = True
    write = os.write

    def limited(descriptor: int, data: bytes) -> int:
        if full:
            write(descriptor, bytes(data[:7]))
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr("mcp_gateway.edge.audit.os.write", limited)
    monkeypatch.setattr("mcp_gateway.edge.audit.RETRY_SECONDS", 0.05)
    audit = new_audit(tmp_path, refuse=refuse)
    audit.reserve()
    audit.write(record("first"))
    time.sleep(0.3)
    assert audit.full is refuse
    full = False
    time.sleep(0.3)
    assert not audit.full
    audit.reserve()
    audit.write(record("second"))
    audit.close()
    assert [json.loads(line)["tool"] for line in lines(tmp_path)] == ["first", "second"]


def test_a_session_is_recorded_as_a_hash(tmp_path: Path) -> None:
    audit = new_audit(tmp_path)
    audit.reserve()
    audit.write(record())
    audit.close()
    entry = json.loads(lines(tmp_path)[0])
    assert entry["session"] not in (None, "session")
    assert len(entry["session"]) == 16
