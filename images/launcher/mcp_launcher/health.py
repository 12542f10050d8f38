"""Whether the launcher does its work: when it last put everything right, in a file that the health check reads."""

import time
from pathlib import Path

SYNCED = Path("/tmp/mcp-launcher-synced")  # noqa: S108 - a tmpfs of the container's own
STALE_SECONDS = 60.0


def record(path: Path = SYNCED) -> None:
    """Note that everything was right just now."""
    # The monotonic clock is the whole machine's: another process can compare it, and it never jumps.
    path.write_text(repr(time.monotonic()))


def healthy(now: float, path: Path = SYNCED) -> bool:
    """Whether everything was right less than a minute before `now` (seconds, monotonic)."""
    try:
        return 0 <= now - float(path.read_text()) < STALE_SECONDS
    except (OSError, ValueError):
        return False
