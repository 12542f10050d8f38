"""The command line's view of a stack, without an engine: `plan`, `logins`, and what clients are told."""

from __future__ import annotations

import json

import pytest

from components.cli.__main__ import main
from components.cli.connect import CLIENTS

SERVERS = {"time": "https://mcp.example.org/mcp-connect/time"}
URL = SERVERS["time"]


def test_the_quickstart_is_planned_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--stack", "quickstart"]) == 0
    said = capsys.readouterr().out
    for part in (
        "everything",
        "fixture-remote",
        "alice (admin), bob",
        "none",
        "! fixture-remote: allowPrivateUpstream:",
    ):
        assert part in said


def test_the_quickstart_is_planned_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--stack", "quickstart", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stack"] == "quickstart"
    time = next(server for server in found["servers"] if server["id"] == "time")
    assert time["hosted"]["image"]["kind"] == "UvxImage"
    assert time["hosted"]["egress"] == "none"


def test_a_reviewer_sees_who_gives_what_and_how_instances_live(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--stack", "quickstart"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("instances: at most 200 at once, 20 of one user; 4 start together") for line in lines)
    (personal,) = [line for line in lines if line.startswith("  fixture-personal:")]
    assert "stopped after 900 s without use; each user's volume at /data" in personal
    assert "FIXTURE_KEY (file, required, sensitive)" in personal
    (remote,) = [line for line in lines if line.startswith("  fixture-remote:")]
    assert "the catalog fixes X-FIXTURE-TENANT" in remote
    assert "declared for alice, bob" in remote


def test_machines_see_placeholders_for_what_users_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--stack", "quickstart", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    servers = {server["id"]: server for server in found["servers"]}
    personal = servers["fixture-personal"]
    assert (personal["kind"], personal["upstream"]) == ("singleUser", None)
    where = {"kind": "Instance", "idleSeconds": 900, "volume": "/data", "user": None}
    assert personal["hosted"]["where"] == where
    assert personal["hosted"]["files"][0]["content"] == "{user: FIXTURE_KEY}"
    assert personal["givenBy"]["FIXTURE_KEY"] == "user"
    assert found["instances"]["range"] == "10.201.128.0/17"
    assert servers["time"]["hosted"]["where"]["kind"] == "Place"


def test_logins_are_listed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logins", "--stack", "quickstart"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [login for login, _ in rows] == ["alice", "bob"]
    assert {state for _, state in rows} <= {"set", "missing"}


def test_a_stack_that_is_not_there_is_a_problem_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--stack", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("client", "configuration"),
    [
        ("claude-code", {"mcpServers": {"time": {"type": "http", "url": URL}}}),
        ("vscode", {"servers": {"time": {"type": "http", "url": URL}}}),
        ("cursor", {"mcpServers": {"time": {"url": URL}}}),
        ("inspector", {"mcpServers": {"time": {"type": "streamable-http", "url": URL}}}),
    ],
)
def test_each_client_is_told_in_its_own_format(client: str, configuration: dict[str, object]) -> None:
    assert CLIENTS[client].configuration(SERVERS) == configuration


def test_an_unknown_client_is_refused_with_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", "--stack", "quickstart", "emacs"]) == 1
    said = capsys.readouterr().err
    assert all(client in said for client in CLIENTS)


def test_outputs_name_kinds_and_say_what_a_single_user_server_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "gatewayUrl": "https://mcp.example.org",
        "signInUrl": "https://mcp.example.org/sign-in",
        "servers": {"time": URL, "notes": "https://mcp.example.org/mcp-connect/notes"},
        "kinds": {"time": "multiUser", "notes": "singleUser"},
        "logins": ["alice"],
    }
    monkeypatch.setattr("components.cli.outputs.outputs", lambda stack: found)
    assert main(["outputs", "--stack", "quickstart"]) == 0
    said = capsys.readouterr().out
    (notes,) = [line for line in said.splitlines() if line.startswith("notes")]
    assert notes.split() == ["notes", "singleUser", "https://mcp.example.org/mcp-connect/notes"]
    assert "each user has an instance of their own" in said
