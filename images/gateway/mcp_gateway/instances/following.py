"""Follows the launcher's list for ever, whoever of the two is restarted."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from mcp_gateway.documents.servers import SINGLE_USER
from mcp_gateway.instances.launcher import LauncherAway, LauncherFailure
from mcp_gateway.instances.service import Instances

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 4.0
_BREATH_SECONDS: Final = 0.02

_log = logging.getLogger("mcp_gateway.instances")


@dataclass
class Following:
    """`after` is the version that is known."""

    instances: Instances
    after: str = ""
    pause: float = FIRST_PAUSE_SECONDS
    away: bool = False

    async def run(self) -> None:
        """Ask again and again; while the launcher is away, less and less often, and what was known stays."""
        while True:
            try:
                await self.once()
            except (LauncherAway, LauncherFailure) as error:
                self.after = ""
                self._tell(error)
                await asyncio.sleep(self.pause)
                self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)
            except Exception:
                _log.exception("the list of instances can't be followed")
                self.after = ""
                await asyncio.sleep(LONGEST_PAUSE_SECONDS)
            else:
                self.away, self.pause = False, FIRST_PAUSE_SECONDS
                await asyncio.sleep(_BREATH_SECONDS)

    def _tell(self, error: Exception) -> None:
        document = self.instances.owners.live.document
        # Without servers that have instances nobody misses it.
        if not self.away and document and any(server.kind == SINGLE_USER for server in document.servers):
            _log.warning("the list of instances: %s", error)
            self.away = True

    async def once(self) -> None:
        """Take in one list, or nothing new. Raises LauncherAway and LauncherFailure."""
        asked = self.instances.monotonic()
        listing = await self.instances.launcher.listing(self.after)
        if listing is not None:
            agrees = self.instances.roster.take(listing, asked)
            self.after = listing.version if agrees else ""
            self.instances.attention.set()
