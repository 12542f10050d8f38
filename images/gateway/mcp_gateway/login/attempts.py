"""Limits on attempts: growing waits after failed sign-ins, and a bucket for actions that are cheap to repeat."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Failures:
    count: int = 0
    blocked_until: float = 0.0
    last: float = 0.0


@dataclass
class AttemptLimit:
    """Counts attempts for a key (an account, an address). After `free` of them each one more doubles the wait.

    An attempt counts as failed when it begins, so that parallel ones can't slip past; `succeeded` or `take_back` undo
    it. Kept in memory: a restart forgives, and an attacker can't cause one.
    """

    free: int
    """Attempts without a wait."""
    longest: float
    """The longest wait in seconds, so that nobody can lock an account for good."""
    forget: float = 900.0
    """Seconds without an attempt after which a key is forgotten."""
    capacity: int = 20_000
    """Keys that are remembered; the one that was quiet longest is dropped."""
    entries: OrderedDict[str, _Failures] = field(default_factory=OrderedDict)

    def begin(self, key: str, now: float) -> float:
        """Begin an attempt: 0 when it may go on, else the seconds to wait."""
        entry = self.entries.get(key)
        if entry is None or now - entry.last > self.forget + self.longest:
            entry = _Failures()
        if entry.blocked_until > now:
            return entry.blocked_until - now
        entry.count += 1
        entry.last = now
        if entry.count >= self.free:
            entry.blocked_until = now + min(self.longest, 2.0 ** min(entry.count - self.free, 30))
        self.entries[key] = entry
        self.entries.move_to_end(key)
        while len(self.entries) > self.capacity:
            self.entries.popitem(last=False)
        return 0.0

    def succeeded(self, key: str) -> None:
        """The attempt succeeded: forget the failures of this key."""
        self.entries.pop(key, None)

    def take_back(self, key: str) -> None:
        """Don't count the attempt, but keep the failures: an attacker with an account of their own clears nothing."""
        if entry := self.entries.get(key):
            entry.count -= 1
            entry.blocked_until = 0.0


@dataclass(slots=True)
class _Level:
    tokens: float
    at: float


@dataclass
class RateLimit:
    """A token bucket for each key: `burst` at once, then `per_second`."""

    burst: int
    per_second: float
    capacity: int = 20_000
    levels: OrderedDict[str, _Level] = field(default_factory=OrderedDict)

    def take(self, key: str, now: float) -> float:
        """Take one: 0 when there was one, else the seconds until there is."""
        level = self.levels.get(key) or _Level(float(self.burst), now)
        level.tokens = min(float(self.burst), level.tokens + (now - level.at) * self.per_second)
        level.at = now
        self.levels[key] = level
        self.levels.move_to_end(key)
        while len(self.levels) > self.capacity:
            self.levels.popitem(last=False)
        if level.tokens < 1:
            return (1 - level.tokens) / self.per_second
        level.tokens -= 1
        return 0.0
