"""The runner's configuration document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp_runner.config import ConfigError, load, parse


def test_the_contracts_example() -> None:
    text = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text()
    example = json.loads(text.split("## 6. Runner")[1].split("```json")[1].split("```")[0])
    config = parse(example, {"TOKEN": "t"}, {"PATH": "/bin", "OTHER": "never"})
    assert config.command == ("/app/bin/mcp-server-time", "--local-timezone", "UTC")
    assert config.env == {
        "PATH": "/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "LOG_LEVEL": "info",
        "TOKEN": "t",
    }
    assert (config.shared, config.idle_seconds, config.max_sessions) == (False, 900, 100)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": 2}, "version"),
        ({"command": []}, "command"),
        ({"command": "x"}, "command"),
        ({"command": ["x", 1]}, "command"),
        ({"command": ["x", "a\0b"]}, "command"),
        ({"env": {"A": 1}}, "env"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"session": "each"}, "session"),
        ({"maxSessions": 0}, "maxSessions"),
        ({"maxSessions": True}, "maxSessions"),
        ({"requestBytes": "1"}, "requestBytes"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_each_problem_names_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        parse({"version": 1, "command": ["x"], **change}, {}, {})


def test_all_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"version": 3, "session": "x"}, {}, {})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["command", "session", "version"]


def test_no_error_and_no_representation_holds_a_secret(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.json"
    path = tmp_path / "runner.json"
    path.write_text(json.dumps({"version": 1, "command": ["x"], "secretEnvFile": str(secrets)}))
    secrets.write_text('{"TOKEN": "hush"}')
    assert "hush" not in repr(load(path))
    for broken in ('{"TOKEN": ["hush"]}', '{"TOKEN": "hush', '["hush"]'):
        secrets.write_text(broken)
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert "hush" not in str(caught.value)
    secrets.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        load(path)
