"""Puts what is compared on the machine, from committed locks, into a cache outside the checkout."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def cache() -> Path:
    """Where benchmarks keep what they install."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-hosting" / "benchmarks"


def node_modules(folder: Path) -> Path:
    """`npm ci` of the folder's package-lock.json, once for each content."""
    made = cache() / f"npm-{_digest(folder, 'package.json', 'package-lock.json')}"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=made.parent))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, work)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=work, check=True, stdout=sys.stderr)
        work.rename(made)
    return made / "node_modules"


def python_bin(folder: Path) -> Path:
    """A virtual environment with the folder's requirements.txt, once for each content; its bin folder."""
    made = cache() / f"venv-{_digest(folder, 'requirements.txt')}"
    ready = made / "ready"
    if not ready.exists():
        shutil.rmtree(made, ignore_errors=True)
        made.parent.mkdir(parents=True, exist_ok=True)
        uv = Path(sys.executable).parent / "uv"
        python = made / "bin" / "python"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, made], check=True)
        options = ["-q", "--require-hashes", "--compile-bytecode", "--python", str(python)]
        subprocess.run([uv, "pip", "install", *options, "-r", str(folder / "requirements.txt")], check=True)
        ready.touch()
    return made / "bin"


def _digest(folder: Path, *names: str) -> str:
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in names)).hexdigest()[:16]
