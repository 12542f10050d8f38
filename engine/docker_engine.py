"""The Docker Engine: a reachable one is used as it is; where none is there, one is installed on Debian, for root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import capture, logged, tail
from engine.system import apt_install, may_apt
from engine.versions import DOCKER_API_AT_LEAST, numbers

SOCKET = Path("/var/run/docker.sock")
SYSTEMD = Path("/run/systemd/system")
START_SECONDS = 60
INSTALL = "install Docker Engine (https://docs.docker.com/engine/install/) and start it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """A reachable engine. `host` is to be set as DOCKER_HOST where the user's Docker context names another endpoint."""

    client: str
    version: str
    api: str
    host: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Why no engine can be used, and what to do about it. `step` is what the engine could do itself, if anything."""

    why: str
    remedy: str
    step: str | None = None


def absence(*, client: bool, error: str, daemon: bool, root: bool, apt: bool, systemd: bool) -> Absent:
    """Decide what an engine's absence means.

    `client`, `daemon`: whether `docker` and `dockerd` are installed. `error`: what the client said. `root`, `apt`,
    `systemd`: whether this is root, Debian packages may be installed, systemd runs here.
    """
    if "permission denied" in error:
        return Absent(
            why="its socket is closed to this user", remedy="add yourself to the group docker, or run as root"
        )
    if "Cannot connect" not in error and client and error:
        return Absent(why=error, remedy="see what `docker version` says")
    if daemon:
        if not root:
            start = "sudo systemctl start docker" if systemd else "start dockerd as root"
            return Absent(why="the engine is installed but doesn't run", remedy=start)
        step = "start-systemd" if systemd else "start-by-hand"
        return Absent(why="the engine is installed but doesn't run", remedy="start dockerd", step=step)
    if apt:
        return Absent(why="the engine isn't installed", remedy=INSTALL, step="install")
    return Absent(why="no engine can be reached", remedy=INSTALL)


def context_host(inspected: str) -> str | None:
    """Return the endpoint of the current Docker context, from `docker context inspect`; None for the default one."""
    try:
        host = str(json.loads(inspected)[0]["Endpoints"]["docker"]["Host"])
    except (ValueError, LookupError, TypeError):
        return None
    return None if host == f"unix://{SOCKET}" else host or None


def find(environ: Mapping[str, str]) -> Docker | Absent:
    """Return the reachable engine, or why there is none."""
    asked = capture(["docker", "version", "--format", "{{json .}}"], env=environ, timeout=15)
    answer = json.loads(asked.out) if asked.out.lstrip().startswith("{") else {}
    server = answer.get("Server") or {}
    if not server:
        return absence(
            client=asked.code != 127,
            error=asked.err.strip(),
            daemon=shutil.which("dockerd", path=f"{environ.get('PATH', '')}{os.pathsep}/usr/sbin") is not None,
            root=os.geteuid() == 0,
            apt=may_apt(),
            systemd=SYSTEMD.exists(),
        )
    api = str(server.get("ApiVersion", ""))
    if numbers(api) < DOCKER_API_AT_LEAST:
        need = ".".join(map(str, DOCKER_API_AT_LEAST))
        return Absent(
            why=f"the engine's API is {api}, older than {need}", remedy="update Docker Engine to 20.10 or newer"
        )
    host = None
    if not environ.get("DOCKER_HOST"):
        host = context_host(capture(["docker", "context", "inspect"], env=environ).out)
    return Docker(
        client=str(answer.get("Client", {}).get("Version", "")), version=str(server["Version"]), api=api, host=host
    )


def start(layout: Layout, console: Console, environ: Mapping[str, str], *, by_hand: bool) -> None:
    """Start the installed daemon with its own configuration and wait until it answers."""
    log = layout.logs / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with console.working("docker", "starting the engine", 5):
        daemon = None
        if by_hand:
            daemon = subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=log.open("a"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        else:
            logged(["systemctl", "start", "docker"], log, remedy="see `journalctl -u docker`")
        deadline = time.monotonic() + START_SECONDS
        while isinstance(found := find(environ), Absent):
            if time.monotonic() > deadline or (daemon and daemon.poll() is not None):
                raise EngineError(f"dockerd doesn't answer: {found.why}\n{tail(log)}", f"see {log}")
            time.sleep(0.5)


def ensure(layout: Layout, console: Console, environ: Mapping[str, str]) -> Docker:
    """Return a reachable engine, installing and starting one where that is allowed. EngineError carries the remedy."""
    found = find(environ)
    if isinstance(found, Absent) and found.step == "install":
        # iptables and the CA bundle are recommendations of docker.io without which builds have no network or no TLS.
        apt_install(layout, console, "docker", ["docker.io", "iptables", "ca-certificates"], 60)
        found = find(environ)
    if isinstance(found, Absent) and found.step and found.step.startswith("start"):
        start(layout, console, environ, by_hand=found.step == "start-by-hand")
        found = find(environ)
    if isinstance(found, Absent):
        raise EngineError(f"Docker can't be used: {found.why}", found.remedy)
    return found
