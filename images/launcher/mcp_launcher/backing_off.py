"""How long a start must wait after failures: pure, the clock is the caller's (seconds, monotonic)."""

from collections.abc import Hashable
from dataclasses import dataclass

from mcp_launcher.failure import Failure

FIRST_SECONDS = 1.0
LAST_SECONDS = 60.0
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Past:
    failures: int
    until: float
    failure: Failure


class BackOff:
    """The failures of each key since its last success."""

    def __init__(self) -> None:
        self._past: dict[Hashable, _Past] = {}

    def failed(self, key: Hashable, failure: Failure, now: float) -> float:
        """Note one more failure; returns how many seconds the next try must wait."""
        before = self._past.pop(key, None)
        failures = before.failures + 1 if before else 1
        seconds = min(LAST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 10))
        self._past[key] = _Past(failures, now + seconds, failure)
        if len(self._past) > MOST_REMEMBERED:
            del self._past[next(iter(self._past))]
        return seconds

    def reset(self, key: Hashable) -> None:
        """Forget the key's failures."""
        self._past.pop(key, None)

    def refusal(self, key: Hashable, now: float) -> Failure | None:
        """Return why a start must wait, None when it needn't."""
        past = self._past.get(key)
        if past is None or now >= past.until:
            return None
        left = round(past.until - now, 1)
        message = f"the last start failed; the next may be tried in {left} s. {past.failure.message}"
        return Failure("back-off", message, retry_seconds=max(0.1, left), log=past.failure.log)
