"""The cache by content: keys that tell inputs apart, places that are whole or absent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.content import digest, placed


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_digest_differs_exactly_when_parts_differ(one: list[str], other: list[str]) -> None:
    assert (digest(one) == digest(other)) == (one == other)


def test_placed_makes_a_thing_once(tmp_path: Path) -> None:
    made = []

    def make(work: Path) -> None:
        made.append(work)
        (work / "file").write_text("content")

    target = tmp_path / "cache" / "key"
    assert placed(target, make) == target
    assert placed(target, make) == target
    assert (target / "file").read_text() == "content"
    assert len(made) == 1


def test_an_interruption_leaves_nothing_and_the_next_run_makes_it(tmp_path: Path) -> None:
    target = tmp_path / "key"

    def interrupted(work: Path) -> None:
        (work / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        placed(target, interrupted)
    assert [entry.name for entry in tmp_path.iterdir()] == [".key.lock"]
    assert placed(target, lambda work: (work / "whole").touch()).is_dir()
    assert [entry.name for entry in target.iterdir()] == ["whole"]


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".key-abandoned").mkdir()
    placed(tmp_path / "key", lambda work: None)
    assert not (tmp_path / ".key-abandoned").exists()


def test_of_two_runs_at_once_the_second_waits_for_the_first_ones_work(tmp_path: Path) -> None:
    target = tmp_path / "key"
    waited, begun, go_on = Event(), Event(), Event()

    def slow(work: Path) -> None:
        begun.set()
        assert go_on.wait(10)
        (work / "by").write_text("first")

    def unwanted(work: Path) -> None:
        (work / "by").write_text("second")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(placed, target, slow)
        assert begun.wait(10)
        second = pool.submit(placed, target, unwanted, waited.set)
        assert waited.wait(10)
        go_on.set()
        assert first.result() == second.result() == target
    assert (target / "by").read_text() == "first"
