"""The fixtures of the portal's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.control.portal.portal_world import PortalWorld, portal_world


@pytest.fixture
async def world(tmp_path: Path, empty_database: Path) -> AsyncIterator[PortalWorld]:
    """The portal with a launcher's double."""
    async with portal_world(tmp_path, empty_database) as made:
        yield made
