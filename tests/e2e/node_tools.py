"""npm programs that the tests drive, installed from a lock file into the user's cache, once for each lock."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def installed(folder: Path) -> Path:
    """The `node_modules` folder for `folder`'s lock file; Node 22 is among its packages."""
    lock = (folder / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-hosting" / "node-tools"
    place = cache / f"{folder.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=cache))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, work)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=work, check=True, capture_output=True, timeout=900)
        work.rename(place)
    return place / "node_modules"


def environment(modules: Path) -> dict[str, str]:
    """The environment in which the installed Node comes first."""
    return {**os.environ, "PATH": f"{modules / 'node' / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1"}
