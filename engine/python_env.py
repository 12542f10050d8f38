"""The project's Python environment: `.venv`, installed from the lock file with every hash checked."""

from __future__ import annotations

import hashlib
import shutil
import sys

from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import capture, logged
from engine.system import apt_install, may_apt

INSTALL_SECONDS = 120
STAMP = ".installed-lock"


def stamp(lock: bytes) -> str:
    """Return what the stamp of an environment says that was installed from this lock file."""
    return hashlib.sha256(lock).hexdigest() + "\n"


def problem(layout: Layout) -> str:
    """Say what the environment lacks; empty when it is what the lock file says."""
    if not layout.python.exists():
        return "not made yet"
    if not layout.lock_file.exists():
        return f"{layout.lock_file.relative_to(layout.root)} is missing"
    mark = layout.venv / STAMP
    if not mark.exists() or mark.read_text() != stamp(layout.lock_file.read_bytes()):
        return "not in step with the lock file"
    return ""


def create(layout: Layout, console: Console) -> None:
    """Make an empty environment, with Debian's missing piece of Python where that is what is missing."""
    log = layout.logs / "venv.log"
    if not capture([sys.executable, "-c", "import ensurepip, venv"]).ok:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        if not may_apt():
            raise EngineError("Python can't make virtual environments", f"install python{version}-venv")
        apt_install(layout, console, "python", [f"python{version}-venv"], 15)
    with console.working("python", "making .venv", 5):
        if layout.venv.exists():
            shutil.rmtree(layout.venv)
        logged([sys.executable, "-m", "venv", layout.venv], log, remedy="run it again")


def ensure(layout: Layout, console: Console) -> None:
    """Bring `.venv` in step with the lock file. Packages that it has besides are left alone."""
    if not problem(layout):
        return
    pip = [str(layout.python), "-m", "pip"]
    if not capture([*pip, "--version"]).ok and not capture([layout.python, "-m", "ensurepip"], timeout=60).ok:
        create(layout, console)
    log = layout.logs / "pip.log"
    log.unlink(missing_ok=True)
    with console.working("python", "installing the locked packages into .venv", INSTALL_SECONDS):
        logged(
            [
                *(*pip, "install", "--disable-pip-version-check", "--no-input"),
                *("--require-hashes", "--no-deps", "-r", str(layout.lock_file)),
            ],
            log,
            cwd=layout.root,
            remedy="run it again (what was downloaded is kept)",
        )
    (layout.venv / STAMP).write_text(stamp(layout.lock_file.read_bytes()))
