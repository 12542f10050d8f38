"""Work on instances that a page begins but doesn't wait for, and what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mcp_gateway.instances.service import StartRefused, Unavailable

PATIENCE_SECONDS: Final = 0.7
"""How long a page waits for what it began: most refusals, and some starts, are that quick."""

_log = logging.getLogger("mcp_gateway.portal")

Place = tuple[str, str]
"""Server id and subject."""

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the last thing that was asked of an instance was not done; `log` are the last lines of its output."""

    message: str
    log: tuple[str, ...] = ()


@dataclass
class Background:
    """At most one piece of work of a kind for each instance; asking again while it is under way changes nothing."""

    under_way: dict[tuple[Place, str], asyncio.Task[None]] = field(default_factory=dict)
    refusals: dict[Place, Refusal] = field(default_factory=dict)

    async def begin(self, place: Place, kind: str, work: Work) -> None:
        """Begin, unless it is under way, and wait a moment for it. The work goes on when the request ends."""
        task = self.under_way.get((place, kind))
        if task is None:
            self.refusals.pop(place, None)
            task = self.under_way[place, kind] = asyncio.create_task(self._run(place, kind, work))
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)

    def refusal(self, place: Place) -> Refusal | None:
        """What was wrong the last time."""
        return self.refusals.get(place)

    async def _run(self, place: Place, kind: str, work: Work) -> None:
        try:
            await work()
        except StartRefused as error:
            self.refusals[place] = Refusal(error.message, tuple(error.log))
        except Unavailable as error:
            self.refusals[place] = Refusal(error.message)
        except Exception:
            _log.exception("work on the instance of %s failed", place[0])
            self.refusals[place] = Refusal("Something went wrong. Your administrator finds the reason in the log.")
        finally:
            self.under_way.pop((place, kind), None)
