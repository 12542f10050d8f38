"""The fixtures of the tests of users' instances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.gateway.control.instances.instance_world import InstanceWorld, new_world
from tests.gateway.launcher_double import LauncherDouble


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[LauncherDouble]:
    """A launcher with templates of `memory` and `keyed`."""
    with LauncherDouble(tmp_path / "launcher.sock", {"memory", "keyed"}) as double:
        yield double


@pytest.fixture
async def world(tmp_path: Path, empty_database: Path, launcher: LauncherDouble) -> AsyncIterator[InstanceWorld]:
    """A control side with `instances_document()` in force."""
    async with new_world(tmp_path, empty_database, launcher) as opened:
        yield opened
