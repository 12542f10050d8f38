"""How many calls a user may make to a server: one token bucket for each pair (per worker)."""

from __future__ import annotations


class Rates:
    """Buckets that hold a minute's calls and fill evenly. Bounded: full buckets are forgotten by `expire`."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def wait(self, subject: str, server: str, per_minute: int, now: float) -> float:
        """Take one call; 0, or the seconds until there is one. `now` is monotonic, in seconds."""
        key = (subject, server)
        left, then = self._buckets.get(key, (float(per_minute), now))
        left = min(per_minute, left + (now - then) * per_minute / 60)
        if left < 1:
            self._buckets[key] = (left, now)
            return (1 - left) * 60 / per_minute
        self._buckets[key] = (left - 1, now)
        return 0.0

    def expire(self, now: float) -> None:
        """Forget buckets that nobody took from for a minute: they are full again."""
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if now - bucket[1] < 60}
