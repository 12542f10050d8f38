"""A cache by content: a thing lies under the digest of what it is made from, and is there whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

LENGTH = 16


def digest(parts: Iterable[str | bytes]) -> str:
    """Return the key of these parts: order and boundaries count, so ("ab", "c") and ("a", "bc") differ."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:LENGTH]


def placed(target: Path, make: Callable[[Path], None], waiting: Callable[[], None] = lambda: None) -> Path:
    """Return `target`, a directory that `make` fills if it isn't there yet.

    `make` works on a directory beside it that is renamed at the end, under a lock: an interruption leaves nothing half
    done, and of two runs at once the second calls `waiting`, waits and finds the first one's work.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        prefix = f".{target.name}-"
        for abandoned in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        try:
            make(work)
            work.chmod(0o755)
            os.rename(work, target)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return target
