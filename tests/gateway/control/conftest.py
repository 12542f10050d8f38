"""The fixtures of the control side's tests."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.ssrf import GuardedFetch
from mcp_gateway.control.app import build_control_side
from mcp_gateway.control.serve import open_state

from tests.gateway.control.control_site import Clock, Site, gateway_document


@pytest.fixture
def fetch() -> GuardedFetch:
    """How client documents are fetched; tests with a server of their own override it."""
    return GuardedFetch()


@pytest.fixture
def open_site(tmp_path: Path, fetch: GuardedFetch) -> Callable[[], Site]:
    """Opens a control side on this test's folders; a second call is a restart."""
    for folder in ("state", "keys", "delivery"):
        (tmp_path / folder).mkdir()

    def start() -> Site:
        clock, lines = Clock(), io.StringIO()
        database, envelope = open_state(
            f"sqlite:///{tmp_path / 'state' / 'gateway.db'}", tmp_path / "keys" / "master.key"
        )
        control = build_control_side(
            database=database,
            envelope=envelope,
            delivery=tmp_path / "delivery",
            clock=clock,
            audit=AuditLog(clock, lines),
            fetch=fetch,
        )
        return Site(control, database, tmp_path / "delivery", clock, lines)

    return start


@pytest.fixture
async def site(open_site: Callable[[], Site]) -> AsyncIterator[Site]:
    """A control side with `gateway_document()` in force."""
    opened = open_site()
    assert await opened.deliver(gateway_document()) == []
    yield opened
    for browser in opened.browsers:
        await browser.aclose()
    opened.database.close()
