"""The edge that a test module shares, put back to its first state before each test."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.edge.edge_world import World, echo, new_world
from tests.gateway.edge.homes import Homes, homes_in


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("edge")) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The module's edge, with its document and upstreams as they were at first."""
    for recorder in (shared_world.upstream, shared_world.other):
        recorder.requests.clear()
        recorder.behaviour = echo
    shared_world.control.requests.clear()
    before = copy.deepcopy(shared_world.document)
    yield shared_world
    if shared_world.document != before:

        def put_back(document: dict[str, Any]) -> None:
            document.clear()
            document.update(before)

        shared_world.publish(put_back)


@pytest.fixture
def homes(world: World) -> Iterator[Homes]:
    """The module's edge with two single-user servers, whose instances the test opens."""
    with homes_in(world) as homes:
        yield homes
