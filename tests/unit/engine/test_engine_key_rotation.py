"""`make rotate-keys`: in the control side's container of the stack that was named, or a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import __main__ as command_line
from engine import key_rotation, setup
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout, layout


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.q.yaml").touch()
    return layout(tmp_path, {"HOME": str(tmp_path / "home")})


def docker(folder: Path, script: str) -> dict[str, str]:
    """An environment whose `docker` is a script."""
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "docker").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def rotate(here: Layout, stack: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(setup, "found", lambda _: {})
    monkeypatch.setenv("PATH", environ["PATH"])
    return key_rotation.rotate(here, Console(), stack, environ)


def test_the_command_runs_in_the_stacks_control_side_and_its_exit_code_counts(
    here: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    environ = docker(
        tmp_path / "bin",
        f"""echo "$*" >> {log}
case "$1" in ps) case "$*" in *mcp-hosting.stack=q*mcp-hosting.role=control*) echo mcp-q-gateway-control;; esac;;
exec) exit 7;; esac""",
    )
    assert rotate(here, "q", environ, monkeypatch) == 7
    assert log.read_text().splitlines()[-1] == (
        "exec mcp-q-gateway-control /opt/gateway/bin/python -I -m mcp_gateway rotate-keys"
    )


def test_a_stack_that_does_not_run_is_answered_with_the_remedy(
    here: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = docker(tmp_path / "bin", "true")
    with pytest.raises(EngineError, match="the gateway of q doesn't run") as raised:
        rotate(here, "q", environ, monkeypatch)
    assert raised.value.remedy == "make up STACK=q"
    with pytest.raises(EngineError, match="there is no stack other"):
        rotate(here, "other", environ, monkeypatch)


def test_the_command_line_knows_it() -> None:
    options = command_line.parser().parse_args(["rotate-keys", "--stack", "q"])
    assert (options.command, options.stack) == ("rotate-keys", "q")
