"""How instances are used, from the reports of the edge's workers (docs/contracts.md, section 9). Pure.

Times are monotonic seconds, so that a clock that is set doesn't end what is in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mcp_gateway.instances.view import Key

SILENT_SECONDS: Final = 20.0
"""A worker that hasn't reported for so long is gone, and its calls with it."""
EDGE_SECONDS: Final = 60.0
"""The edge is there when it has reported, or waited for the table, within this time."""


@dataclass(frozen=True, slots=True)
class Use:
    """A worker's use of an instance: POSTs under way, and the time of the last."""

    open: int
    last: float


@dataclass
class Activity:
    """What is known of all instances' use since `began`."""

    began: float
    heard: float = float("-inf")
    workers: dict[str, tuple[float, Mapping[Key, Use]]] = field(default_factory=dict)
    last: dict[Key, float] = field(default_factory=dict)

    def edge_heard(self, now: float) -> None:
        """Know that an edge is there."""
        self.heard = max(self.heard, now)

    def report(self, worker: str, uses: Mapping[Key, Use], now: float) -> None:
        """Take a worker's report, which holds all that it uses."""
        self.edge_heard(now)
        self.workers[worker] = (now, uses)
        for key, use in uses.items():
            self._used(key, now if use.open else min(use.last, now))

    def started(self, key: Key, now: float) -> None:
        """Count an instance from its start: it may never be used."""
        self._used(key, now)

    def expire(self, now: float) -> None:
        """Forget workers that are gone."""
        self.workers = {name: each for name, each in self.workers.items() if now - each[0] <= SILENT_SECONDS}

    def forget(self, keys: frozenset[Key]) -> None:
        """Keep what concerns these instances only."""
        self.last = {key: last for key, last in self.last.items() if key in keys}

    def last_used(self, key: Key) -> float | None:
        """When it was used or started last, None when that was before `began`."""
        return self.last.get(key)

    def idle(self, key: Key, now: float) -> float | None:
        """For how long nobody has used it; None while a POST is under way, or while no edge tells of any."""
        if now - self.heard > EDGE_SECONDS:
            return None
        for at, uses in self.workers.values():
            if now - at <= SILENT_SECONDS and key in uses and uses[key].open:
                return None
        return max(0.0, now - max(self.last.get(key, self.began), self.began))

    def _used(self, key: Key, at: float) -> None:
        self.last[key] = max(self.last.get(key, float("-inf")), at)
