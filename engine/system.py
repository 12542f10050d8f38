"""What kind of machine this is, and installing Debian packages where that is the engine's business."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from engine.console import Console
from engine.layout import Layout
from engine.process import logged

OS_RELEASE = Path("/etc/os-release")


def os_release(text: str) -> dict[str, str]:
    """Parse an os-release file (freedesktop.org os-release): names to unquoted values."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def describe() -> dict[str, str]:
    """Return this machine's os-release values; on a system without one, its name."""
    if OS_RELEASE.exists():
        return os_release(OS_RELEASE.read_text())
    return {"ID": platform.system().lower(), "PRETTY_NAME": f"{platform.system()} {platform.release()}"}


def may_apt() -> bool:
    """Whether Debian packages can be installed here without asking anyone: root, on Debian or a child of it."""
    here = describe()
    family = {here.get("ID", ""), *here.get("ID_LIKE", "").split()}
    return "debian" in family and os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(layout: Layout, console: Console, part: str, packages: list[str], expected: float) -> None:
    """Install Debian packages. `expected` is about how long it takes, in seconds."""
    log = layout.logs / "apt.log"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    remedy = f"install {' '.join(packages)} by hand, then run it again"
    with console.working(part, f"installing {', '.join(packages)} with apt-get", expected):
        logged(["apt-get", "update", "-q"], log, env=env, remedy=remedy)
        logged(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], log, env=env, remedy=remedy)
