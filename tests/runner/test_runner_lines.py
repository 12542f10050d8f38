"""Cutting a child's pipes into lines."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from mcp_runner.child import Lines


def cut(parts: list[bytes], limit: int = 100) -> tuple[list[bytes], int]:
    lines: list[bytes] = []
    excess: list[int] = []
    closed: list[bool] = []
    protocol = Lines(lines.append, lambda: excess.append(1), limit, lambda: closed.append(True))
    for part in parts:
        protocol.data_received(part)
    protocol.connection_lost(None)
    assert closed == [True]
    return lines, len(excess)


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=6))
def test_lines_do_not_depend_on_how_the_pipe_was_read(data: bytes, cuts: list[int]) -> None:
    points = [0, *sorted(cuts), len(data)]
    parts = [part for a, b in pairwise(points) if (part := data[a:b])]
    wanted = [line for raw in data.split(b"\n") if (line := raw.removesuffix(b"\r"))]
    assert cut(parts) == (wanted, 0)


def test_a_line_beyond_the_limit_is_cut_and_told_once() -> None:
    for parts in ([b"x" * 250 + b"\nnext\n"], [b"x" * 60] * 5 + [b"\n", b"next\n"]):
        assert cut(parts) == ([b"x" * 100, b"next"], 1)
