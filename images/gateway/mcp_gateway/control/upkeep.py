"""What happens by itself: documents are taken up, signing keys rotate, what has expired is deleted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool

from mcp_gateway.authorization.clients import delete_unused_clients
from mcp_gateway.authorization.grants import delete_expired
from mcp_gateway.control.feed import EdgeFeed
from mcp_gateway.control.live import Live
from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import Envelope
from mcp_gateway.state.schema import browser_sessions
from mcp_gateway.state.signing_keys import SigningKey, rotate_signing_keys

POLL_SECONDS: Final = 0.5
UPKEEP_SECONDS: Final = 60.0

_log = logging.getLogger("mcp_gateway.control")


@dataclass
class Upkeep:
    """Rotation and deletion."""

    live: Live
    database: Database
    envelope: Envelope
    feed: EdgeFeed
    clock: Callable[[], float]

    async def run_once(self) -> None:
        """Rotate keys that are due, delete what has expired, and tell the edge."""
        self.live.keys = await run_in_threadpool(self._work)
        await self.feed.refresh()

    def _work(self) -> list[SigningKey]:
        now = int(self.clock())
        with self.database.begin() as db:
            delete_expired(db, now)
            delete_unused_clients(db, now)
            db.execute(browser_sessions.delete().where(browser_sessions.c.expires_at <= now))
            return rotate_signing_keys(db, self.envelope, now)


async def repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do something again and again; a failure is logged and the next round tries anew."""
    while True:
        try:
            await work()
        except Exception:
            _log.exception("background work failed")
        await asyncio.sleep(seconds)
