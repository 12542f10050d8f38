from __future__ import annotations

import json

import pytest

from components.errors import Problem, Problems, collected, raise_if, shown

ONE = Problem(
    path="env[0].key", value='"a b"', wrong="is no name", remedy="rename it", file="a.yaml", line=3, entry="A"
)


def test_a_problem_is_one_line_with_place_entry_field_and_remedy() -> None:
    assert str(ONE) == 'a.yaml:3: A: env[0].key: got "a b": is no name; rename it'
    assert str(Problem(path="target", wrong="is missing", remedy="add it")) == "target: is missing; add it"


def test_problems_are_sorted_shown_once_and_counted() -> None:
    other = Problem(path="x", wrong="w", remedy="r", file="a.yaml", line=1)
    problems = Problems([ONE, other, ONE])
    assert list(problems) == [other, ONE]
    assert str(problems).startswith("2 problems:\n  a.yaml:1: x: w; r\n")
    assert [problem["line"] for problem in json.loads(json.dumps(problems.to_json()))] == [1, 3]


def test_a_place_is_filled_in_only_where_it_is_open() -> None:
    assert ONE.at(file="b.yaml", line=9, entry="B") == ONE
    assert Problem(path="x", wrong="w", remedy="r").at(file="b.yaml").file == "b.yaml"


def test_problems_are_collected_and_other_errors_are_not() -> None:
    found: list[Problem] = []
    with collected(found):
        raise_if([ONE])
    raise_if([])
    assert found == [ONE]
    with pytest.raises(KeyError), collected(found):
        raise KeyError


@pytest.mark.parametrize(("value", "text"), [("a", '"a"'), (3, "3"), (object(), '"object"'), (float("nan"), "NaN")])
def test_a_value_is_shown_as_json(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 500)) == 60
