from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.catalog.parse import MAX_BYTES, MAX_DEPTH, parsed
from components.errors import Problems

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def wrong(text: str, file: str = "a.yaml") -> str:
    with pytest.raises(Problems) as caught:
        parsed(text, file=file)
    return str(caught.value)


def test_the_line_of_every_field_is_known() -> None:
    document = parsed("name: A\nenv:\n  - key: X\n    required: true\n", file="a.yaml")
    assert document.data == {"name": "A", "env": [{"key": "X", "required": True}]}
    assert document.line(("env", 0, "required")) == 4
    assert document.line(("env", 0, "absent")) == 3
    assert document.line(("absent",)) == 1


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("010", 10),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("'5'", "5"),
        ('"null"', "null"),
    ],
)
def test_plain_scalars_follow_the_core_schema(scalar: str, value: object) -> None:
    assert parsed(f"a: {scalar}", file="a.yaml").data == {"a": value}


@pytest.mark.parametrize(
    ("text", "file", "words"),
    [
        ("a: 1\na: 2\n", "a.yaml", "a.yaml:2: the key 'a' stands there twice"),
        ('{"a": 1, "a": 2}', "a.json", "the key 'a' stands there twice"),
        ("a: !!python/object:os.system x", "a.yaml", "the tag"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "a.yaml", "merge keys"),
        ("a: [1", "a.yaml", "not YAML"),
        ("a: 1\n---\nb: 2", "a.yaml", "not YAML"),
        ("{", "a.json", "a.json:1: not JSON"),
        ("[NaN]", "a.json", "NaN is not a JSON number"),
        ("", "a.yaml", "the file is empty"),
        (" \n", "a.json", "the file is empty"),
        ("? [a]\n: b", "a.yaml", "a key is not a text"),
        ("a: &a [*a]", "a.yaml", "nested too deep"),
        ("a: \x00", "a.yaml", "not YAML"),
        ("[" * 5000 + "]" * 5000, "a.yaml", "nest"),
        ("[" * 100_000 + "]" * 100_000, "a.json", "nested too deep"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "a.json", "nested too deep"),
        ("#" * (MAX_BYTES + 1), "a.yaml", "larger than"),
    ],
)
def test_what_is_refused_is_named(text: str, file: str, words: str) -> None:
    assert words in wrong(text, file)


def test_aliases_are_followed_but_cannot_explode() -> None:
    assert parsed("a: &x [1]\nb: *x", file="a.yaml").data == {"a": [1], "b": [1]}
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "too many values" in wrong(f"l0: &l0 [x]\n{levels}")


@given(VALUES)
def test_json_comes_back_as_it_was(value: object) -> None:
    text = json.dumps(value)
    assert parsed(text, file="a.json").data == value


@given(st.text())
def test_any_text_gives_data_or_problems(text: str) -> None:
    for file in ("a.yaml", "a.json"):
        try:
            parsed(text, file=file)
        except Problems as problems:
            assert problems.problems  # noqa: PT017
