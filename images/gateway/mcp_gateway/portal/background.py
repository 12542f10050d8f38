"""Work on instances that a page begins but doesn't wait for, and what became of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mcp_gateway.instances.service import StartRefused, Unavailable

PATIENCE_SECONDS: Final = 0.7
"""How long a page waits for what it began: most refusals, and some starts, are that quick."""

REMEMBERED_SECONDS: Final = 600.0
"""How long a page says what was wrong."""

_UNEXPECTED: Final = "Something went wrong. Your administrator finds the reason in the log."

_log = logging.getLogger("mcp_gateway.portal")

Place = tuple[str, str]
"""Server id and subject."""

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the last thing that was asked of an instance was not done; `log` are the last lines of its output.

    `at` are monotonic seconds.
    """

    message: str
    log: tuple[str, ...]
    at: float


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
        """What was wrong the last time, if that was not long ago."""
        found = self.refusals.get(place)
        if found is not None and time.monotonic() - found.at > REMEMBERED_SECONDS:
            self.forget(place)
            return None
        return found

    def forget(self, place: Place) -> None:
        """Say no more what was wrong: it may be mended."""
        self.refusals.pop(place, None)

    async def _run(self, place: Place, kind: str, work: Work) -> None:
        try:
            await work()
        except StartRefused as error:
            self.refusals[place] = Refusal(error.summary, tuple(error.log), time.monotonic())
        except Unavailable as error:
            self.refusals[place] = Refusal(error.message, (), time.monotonic())
        except Exception:
            _log.exception("work on the instance of %s failed", place[0])
            self.refusals[place] = Refusal(_UNEXPECTED, (), time.monotonic())
        finally:
            self.under_way.pop((place, kind), None)
