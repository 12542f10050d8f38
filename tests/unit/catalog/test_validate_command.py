from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.cli.__main__ import main

GOOD = "name: Time\nruntime: uvx\nuvxConfig: {package: mcp-server-time}\n"


def test_a_right_catalog_is_shown_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    assert main(["validate", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "time" in shown
    assert "mcp-server-time" in shown
    assert "version not pinned" in shown
    assert "1 entry, no problems" in shown


def test_problems_name_file_line_entry_field_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD + "shortDescripton: x\n")
    assert main(["validate", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert f"{tmp_path}/a.yaml:4 Time shortDescripton" in shown
    assert "did you mean shortDescription?" in shown
    assert "1 problem" in shown


def test_machines_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    assert main(["validate", "--json", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["entries"][0]["id"] == "time"
    (tmp_path / "a.yaml").write_text(GOOD + "x: 1\n")
    assert main(["validate", "--json", str(tmp_path)]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["line"], problem["path"], problem["entry"]) == (4, "x", "Time")


def test_a_stack_is_checked_with_its_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--stack", "quickstart"]) == 0
    shown = capsys.readouterr().out
    for server in ("everything", "sequential-thinking", "time", "sqlite", "fixture", "fixture-remote"):
        assert server in shown


def test_nothing_to_check_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate"]) == 2
    assert "validate PATH" in capsys.readouterr().err
