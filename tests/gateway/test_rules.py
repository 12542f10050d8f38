"""Each of the authorization rules is proved by a test that carries its number, or listed with what it waits for."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.gateway.waiting_rules import WAITING

TESTS = Path(__file__).parents[1]
RULES = range(1, 100)


def carried(folder: Path) -> dict[int, list[str]]:
    """Rule numbers and the tests that carry them, read from the source: no test has to be importable."""
    found: dict[int, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for number in (number for decorator in node.decorator_list for number in numbers(decorator)):
                found.setdefault(number, []).append(f"{path.relative_to(folder)}::{node.name}")
    return found


def numbers(decorator: ast.expr) -> list[int]:
    """The numbers of a `@rule(...)` decorator."""
    if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Name) or decorator.func.id != "rule":
        return []
    return [argument.value for argument in decorator.args if isinstance(argument, ast.Constant)]  # type: ignore[misc]


def test_every_rule_is_proved_or_waits_for_something() -> None:
    known = carried(TESTS).keys() | WAITING.keys()
    assert [number for number in RULES if number not in known] == []


def test_no_rule_waits_that_is_proved() -> None:
    proved = carried(TESTS)
    assert {number: proved[number] for number in WAITING if number in proved} == {}


def test_only_numbers_of_rules_are_used() -> None:
    assert set(carried(TESTS)) | set(WAITING) <= set(RULES)
    assert all(len(reason) > 20 for reason in WAITING.values())


def test_markers_are_found_by_source(tmp_path: Path) -> None:
    source = "@rule(3, 5)\nasync def test_a(): ...\n\n@pytest.mark.x\ndef test_b(): ...\n"
    (tmp_path / "test_x.py").write_text(source)
    assert carried(tmp_path) == {3: ["test_x.py::test_a"], 5: ["test_x.py::test_a"]}
