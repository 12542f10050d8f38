"""JSON-RPC lines: what is split without parsing is split where parsing would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_runner.messages import MessageError, parse_body, parse_line, split_result

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just('"id":7}') | st.just(',"jsonrpc":"2.0","id":7}'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("id"), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.integers(0, 10**14), st.permutations(["jsonrpc", "id", "result"]), st.booleans(), st.booleans())
def test_the_id_of_a_result_is_found_where_parsing_finds_it(
    value: Any, id: int, order: list[str], spaced: bool, ascii_only: bool
) -> None:
    fields = {"jsonrpc": "2.0", "id": id, "result": value}
    separators = (", ", ": ") if spaced else (",", ":")
    message = {key: fields[key] for key in order}
    line = json.dumps(message, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = split_result(line)
    if found is not None:
        number, start, end = found
        assert number == id
        assert json.loads(line[:start] + b'"other"' + line[end:]) == {**fields, "id": "other"}


@given(VALUES, st.integers(0, 10**14))
def test_the_sdks_spellings_are_split_without_parsing(value: Any, id: int) -> None:
    python = json.dumps({"jsonrpc": "2.0", "id": id, "result": value}, separators=(",", ":"))
    typescript = json.dumps({"result": value, "jsonrpc": "2.0", "id": id}, separators=(",", ":"))
    assert split_result(python.encode("utf-8", "surrogatepass")) is not None
    assert split_result(typescript.encode("utf-8", "surrogatepass")) is not None


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":"1","result":{}}',
        b'{"result":{"x":"y,\\"jsonrpc\\":\\"2.0\\",\\"id\\":7}"}',
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(line: bytes) -> None:
    assert split_result(line) is None


@given(st.binary(max_size=60))
def test_no_body_does_anything_but_parse_or_be_refused(body: bytes) -> None:
    code = 0
    try:
        parse_body(body)
    except MessageError as problem:
        code = problem.code
    assert code in (0, -32700, -32600)


def test_lines_that_are_not_messages() -> None:
    for line in (b"hello", b"1", b"[]", b"{}", b'{"jsonrpc":"1.0","id":1}', b"[" * 100_000):
        assert parse_line(line) is None
