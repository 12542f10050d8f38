from __future__ import annotations

from pathlib import Path

import pytest

from components.cli import validate
from components.cli.__main__ import main
from components.config.load import stack_file, stack_values
from components.errors import Problem, Problems

ROOT = Path(__file__).resolve().parents[3]
FAR: dict[str, object] = {
    "name": "Far",
    "entryKey": "far",
    "runtime": "remote",
    "remoteConfig": {"fixedURL": "https://far.example/mcp", "headers": [{"key": "X-Team"}, {"key": "X-Place"}]},
}
STACK = """\
config:
  mcp-hosting:catalog:
    entries:
      - name: Far
        entryKey: far
        runtime: remote
        remoteConfig:
          fixedURL: https://far.example/mcp
          headers: [{key: X-Key, sensitive: true, required: true}]
  mcp-hosting:users:
    - login: alice
  mcp-hosting:servers:
    far:
      values:
        X-Key: hunter2
      session: shared
    fra: {}
"""


def wrong(server: dict[str, object]) -> list[str]:
    values = {"catalog": {"entries": [FAR]}, "users": [{"login": "alice"}], "servers": {"far": server}}
    with pytest.raises(Problems) as caught:
        stack_values(values, ROOT, ())
    return [str(problem) for problem in caught.value]


def test_a_value_for_everybody_and_for_a_user_is_refused() -> None:
    (problem,) = wrong({"values": {"X-Team": "a"}, "userValues": {"alice": {"x-team": "b"}}})
    assert "servers.far.userValues.alice.x-team: has a value for everybody already" in problem


@pytest.mark.parametrize("text", ["a\r\nX-Mcp-User: admin", "a\x00", "a\x7f"])
def test_a_value_cannot_smuggle_a_header_in(text: str) -> None:
    assert "holds a control character" in wrong({"values": {"X-Team": text}})[0]
    assert "holds a control character" in wrong({"userValues": {"alice": {"X-Place": text}}})[0]


@pytest.mark.parametrize("text", [" a", "a\t", "Ω"])
def test_a_value_that_no_header_can_carry_is_refused(text: str) -> None:
    assert "a header can't carry" in wrong({"values": {"X-Team": text}})[0]


def test_a_problem_that_the_plan_finds_gets_its_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text(STACK.replace("hunter2", "{secret: far-key}"))
    stack = stack_file(path, tmp_path)
    problems = [
        Problem(path="servers.far.values.X-Key", wrong="is so", remedy="mend it"),
        Problem(path="servers.far.resources.limits.cpu", wrong="is so", remedy="mend it"),
        Problem(path="users[0].login", wrong="is so", remedy="mend it"),
        Problem(path="listen", wrong="is so", remedy="mend it"),
        Problem(path="env", wrong="is so", remedy="mend it", file="a.yaml", line=3),
    ]
    found = {problem.path: (problem.file, problem.line) for problem in stack.located(Problems(problems))}
    assert found == {
        "servers.far.values.X-Key": ("Pulumi.x.yaml", 15),
        "servers.far.resources.limits.cpu": ("Pulumi.x.yaml", 13),
        "users[0].login": ("Pulumi.x.yaml", 11),
        "listen": ("Pulumi.x.yaml", None),
        "env": ("a.yaml", 3),
    }


def test_validating_a_stack_shows_what_stack_and_catalog_disagree_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validate, "ROOT", tmp_path)
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.x.yaml").write_text(STACK)
    assert main(["validate", "--stack", "x"]) == 1
    shown = capsys.readouterr().err
    assert "stacks/Pulumi.x.yaml:15 Far servers.far.values.X-KEY" in shown
    assert "servers.fra" in shown
    assert "servers.far.session" in shown
    assert "clear" in shown
    assert "hunter2" not in shown


def test_the_quickstart_stack_agrees_with_its_catalog() -> None:
    assert main(["validate", "--stack", "quickstart"]) == 0
