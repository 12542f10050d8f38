"""Strict JSON against a slow reference reader, and the texts on which real parsers disagree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_wire.strict_json import DEPTH, LARGEST_INTEGER, StrictJsonError, case_variants, parse


class Refused(Exception):
    """The reference reader's answer to a text that must not pass."""


def reference(raw: bytes) -> Any:
    """What strict reading means, spelled out with the standard library and no short cut."""

    def integer(digits: str) -> int:
        if len(digits) > 40 or not -LARGEST_INTEGER <= int(digits) <= LARGEST_INTEGER:
            raise Refused("integer")
        return int(digits)

    def number(text: str) -> float:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise Refused("infinite")
        return value

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise Refused("duplicate")
        return dict(pairs)

    def constant(_name: str) -> Any:
        raise Refused("constant")

    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=members, parse_int=integer, parse_float=number, parse_constant=constant
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeError, ValueError, RecursionError) as error:
        raise Refused from error
    if nesting(value) > DEPTH:
        raise Refused("depth")
    return value


def nesting(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((nesting(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((nesting(item) for item in value), default=0)
    return 0


def agree(raw: bytes) -> None:
    try:
        expected = reference(raw)
    except Refused:
        with pytest.raises(StrictJsonError):
            parse(raw)
        return
    value, canonical = parse(raw)
    assert value == expected
    assert json.loads(canonical) == expected


# Names and strings are drawn from few letters, colons, quotes and backslashes among them, so that duplicates happen.
strings = st.text(alphabet='ab:"\\{[\u017f\u00e9\U0001f600', max_size=3)
numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["9007199254740991", "9007199254740992", "-9007199254740991", "-9007199254740992", "1e5", "-0"]),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
)


@st.composite
def string_texts(draw: st.DrawFn) -> str:
    """A JSON string in one of its spellings: characters as they are, or as escapes in either case."""
    spelled = []
    for character in draw(strings):
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        escaped = json.dumps(character)[1:-1] if ord(character) > 127 else f"\\u{ord(character):04x}"
        upper = "".join(part.upper() if index else part for index, part in enumerate(escaped.split("\\u")))
        spelled.append(draw(st.sampled_from([plain, escaped, "\\u" + upper if escaped.count("\\u") == 1 else escaped])))
    return '"' + "".join(spelled) + '"'


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(string_texts(), st.sampled_from([":", " : ", ":\n"]), inner).map("".join)
    return st.one_of(
        st.lists(member, max_size=4).map(lambda items: "{" + ",".join(items) + "}"),
        st.lists(inner, max_size=4).map(lambda items: "[" + " , ".join(items) + "]"),
    )


texts = st.recursive(
    st.one_of(st.sampled_from(["null", "true", "false", "NaN", "Infinity"]), numbers, string_texts()),
    containers,
    max_leaves=12,
)


@settings(max_examples=250, deadline=None)
@given(texts)
def test_agrees_with_the_reference_on_json_like_texts(text: str) -> None:
    agree(text.encode("utf-8"))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='{}[]":,\\u03a01e-. \ttrn', max_size=24))
def test_agrees_with_the_reference_on_noise(text: str) -> None:
    agree(text.encode("utf-8"))


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(0, 400), st.integers(0, 255))
def test_agrees_with_the_reference_when_a_byte_is_changed(text: str, position: int, byte: int) -> None:
    raw = bytearray(text.encode("utf-8"))
    raw[position % len(raw)] = byte
    agree(bytes(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"method":"ping","method":"tools/call"}',
        b'{"method":"ping","meth\\u006fd":"tools/call"}',
        b'{"a":{"b":1,"b":2}}',
        b'[{"a":1},{"a":1,"a":":"}]',
        b'{"a:":"\\u003a","a\\u003a":"::"}',
        b'{"a":1,"a":"\\u003a\\u003a"}',
        b'{"x":"\\u003A","a":1,"a":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b"NaN",
        b"[Infinity]",
        b"1e400",
        b"9007199254740992",
        b"-9007199254740992",
        b"[123456789012345678901234567890]",
        b"1" * 5000,
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"{'a':1}",
        b'{"a":1,}',
        b"/**/{}",
        b"01",
        b"+1",
        b"",
        b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1),
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_refuses_what_readers_disagree_about(raw: bytes) -> None:
    with pytest.raises(StrictJsonError):
        parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":"\\u003a"}',
        b'{"a":":","b":"::"}',
        b'{"a":"\\\\u003a","b":1}',
        b"9007199254740991",
        b'{"card":"4111111111111111","x":0.1234567890123456789}',
        b"[" * DEPTH + b"]" * DEPTH,
        b"[" + b",".join([b"[1]"] * 500) + b"]",
    ],
)
def test_accepts_what_is_unambiguous(raw: bytes) -> None:
    value, canonical = parse(raw)
    assert json.loads(raw) == value == json.loads(canonical)


def test_messages_quote_nothing_of_the_text() -> None:
    with pytest.raises(StrictJsonError) as caught:
        parse(b'{"hunter2":1,"hunter2":2}')
    assert "hunter2" not in str(caught.value)


def test_names_that_a_caseless_reader_takes_for_known_ones() -> None:
    known = frozenset({"method", "params"})
    assert case_variants(["Method", "param\u017f", "methods", "method"], known, known) == ["Method", "param\u017f"]
