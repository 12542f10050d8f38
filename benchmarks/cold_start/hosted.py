"""The start of a server behind the runner, as a process or as a container: until `initialize` is answered over HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import docker

from benchmarks.runner.load import LoadError, Session
from benchmarks.runner.targets import ROOT

START_SECONDS = 60.0


def seconds_until_answer(command: Sequence[str]) -> float:
    """Start the runner with the server's command as a process of this machine."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        path = Path(folder) / "runner.json"
        path.write_text(json.dumps(configuration(command, folder)))
        packages = os.pathsep.join(str(ROOT / "images" / name) for name in ("runner", "wire"))
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "mcp_runner", "--config", str(path), "--listen", f"127.0.0.1:{port}"],
            env={**os.environ, "PYTHONPATH": packages},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            asyncio.run(_first_answer(f"http://127.0.0.1:{port}/mcp"))
            return time.perf_counter() - began
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def seconds_until_container_answers(image: str, command: Sequence[str]) -> float:
    """Start a hardened container of a baked image, already created, as a deployment would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runner.json"
        path.write_text(json.dumps(configuration(command, "/data")))
        path.chmod(0o444)
        container = docker.from_env().containers.create(
            image,
            network="bridge",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            read_only=True,
            pids_limit=64,
            tmpfs={"/tmp": "", "/data": "mode=1777"},
            volumes={str(path): {"bind": "/etc/mcp/runner.json", "mode": "ro"}},
        )
        try:
            began = time.perf_counter()
            container.start()
            container.reload()
            address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
            asyncio.run(_first_answer(f"http://{address}:8080/mcp"))
            return time.perf_counter() - began
        finally:
            container.remove(force=True)


def configuration(command: Sequence[str], folder: str) -> dict[str, object]:
    """The runner's configuration."""
    return {
        "version": 1,
        "command": list(command),
        "env": {},
        "cwd": folder,
        "session": "own",
        "sessionIdleSeconds": 900,
        "maxSessions": 100,
        "startupSeconds": 60,
        "requestBytes": 4194304,
    }


async def _first_answer(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        session = Session(url)
        try:
            await session.open()
        except (OSError, LoadError):
            await asyncio.sleep(0.005)
        else:
            return
        finally:
            session.close()
    raise RuntimeError(f"no answer at {url} within {START_SECONDS:.0f} s")
