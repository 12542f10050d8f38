"""gVisor for the Docker Engine: `runsc`, built from its Go module and registered as a runtime of that name.

Only on request: the engine's configuration is the user's. The daemon reads it anew without a restart, so that no
container is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import docker_engine, go_build
from engine.cluster.machine import here
from engine.console import Console
from engine.errors import EngineError
from engine.go_build import GoBuild
from engine.layout import Layout
from engine.process import capture

VERSION = "20260224.0"
NAME = "runsc"
SHIM = "containerd-shim-runsc-v1"
DAEMON_JSON = Path("/etc/docker/daemon.json")
PID_FILES = (Path("/var/run/docker.pid"), Path("/run/docker.pid"))
RELOAD_SECONDS = 15
BY_HAND = "install gVisor (https://gvisor.dev/docs/user_guide/install/) on the engine's machine"


def build(layout: Layout) -> GoBuild:
    """Return the build of runsc and of the shim by which containerd runs it."""
    return GoBuild(
        name="gvisor",
        what=f"gVisor {VERSION}",
        source=layout.root / "engine" / "gvisor",
        programs=(("gvisor.dev/gvisor/runsc", NAME), ("gvisor.dev/gvisor/shim", SHIM)),
        variables=(("gvisor.dev/gvisor/runsc/version.version", f"release-{VERSION}"),),
        seconds=120,
    )


def options(*, may_raise: bool) -> list[str]:
    """Return runsc's options on a machine with or without CAP_SYS_RESOURCE.

    Without it runsc can't put its sandbox into a cgroup: the limits of memory and processes don't hold then.
    """
    return [] if may_raise else ["--ignore-cgroups"]


def registered(config: Mapping[str, Any], runtime: Path, arguments: list[str]) -> dict[str, Any]:
    """Return the daemon's configuration with the runtime in it; all else stays."""
    entry: dict[str, Any] = {"path": str(runtime), **({"runtimeArgs": arguments} if arguments else {})}
    return {**config, "runtimes": {**config.get("runtimes", {}), NAME: entry}}


def known(environ: Mapping[str, str]) -> bool:
    """Whether the Docker Engine has the runtime."""
    asked = capture(["docker", "info", "--format", "{{json .Runtimes}}"], env=environ, timeout=15)
    try:
        return asked.ok and NAME in json.loads(asked.out)
    except ValueError:
        return False


def daemon() -> int:
    """Return the process id of this machine's dockerd. EngineError when there is none."""
    for file in PID_FILES:
        if file.exists():
            pid = int(file.read_text())
            if Path(f"/proc/{pid}/comm").exists() and Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd":
                return pid
    raise EngineError("the Docker Engine doesn't run on this machine itself", BY_HAND)


def read(file: Path) -> dict[str, Any]:
    """Return the daemon's configuration, empty when there is none. EngineError when it isn't JSON."""
    try:
        content = json.loads(file.read_text()) if file.exists() else {}
    except ValueError as problem:
        raise EngineError(f"{file} isn't JSON: {problem}", "correct it") from problem
    if not isinstance(content, dict):
        raise EngineError(f"{file} isn't a JSON object", "correct it")
    return content


def install(layout: Layout, built: Path) -> Path:
    """Copy runsc to where the daemon's configuration can name it for good: the cache may be cleared."""
    target = layout.data / "gvisor" / built.name / NAME
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(".new")
        shutil.copy(built / NAME, fresh)
        fresh.replace(target)
    return target


def ensure(layout: Layout, console: Console, environ: Mapping[str, str]) -> None:
    """Give the Docker Engine the runtime `runsc`, unless it has it. EngineError carries the remedy."""
    found = docker_engine.ensure(layout, console, environ)
    env = {**environ, "DOCKER_HOST": found.host} if found.host else dict(environ)
    if known(env) and NAME not in read(DAEMON_JSON).get("runtimes", {}):
        console.line("gvisor", f"the Docker Engine has the runtime {NAME} already", "green")
        return
    if os.geteuid() != 0:
        raise EngineError("registering a runtime with the Docker Engine takes root", f"run it as root, or {BY_HAND}")
    pid = daemon()
    runtime = install(layout, go_build.ensure(layout, console, environ, build(layout)))
    now = read(DAEMON_JSON)
    wanted = registered(now, runtime, options(may_raise=here().may_raise))
    if wanted != now:
        DAEMON_JSON.parent.mkdir(parents=True, exist_ok=True)
        fresh = DAEMON_JSON.with_suffix(".new")
        fresh.write_text(json.dumps(wanted, indent=2) + "\n")
        fresh.replace(DAEMON_JSON)
    os.kill(pid, signal.SIGHUP)
    deadline = time.monotonic() + RELOAD_SECONDS
    while not known(env):
        if time.monotonic() > deadline:
            raise EngineError(
                f"dockerd hasn't taken up {NAME} from {DAEMON_JSON}",
                "see dockerd's log, then restart it at a quiet time",
            )
        time.sleep(0.2)
    console.line(
        "gvisor", f"the Docker Engine runs containers under {NAME} on request (docker run --runtime={NAME})", "green"
    )
