"""What is compared: each bridge, started on the same stdio server."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runner.installed import node_modules, python_bin

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHILD = HERE / "echo_child.py"
CHILD_COMMAND = [sys.executable, "-I", "-S", str(CHILD)]


@dataclass(frozen=True, slots=True)
class Target:
    """A bridge: its name, how its command is made for a port and a folder for its files, and its environment."""

    name: str
    command: Callable[[int, Path], list[str]]
    environment: Mapping[str, str]

    def start(self, port: int, folder: Path) -> subprocess.Popen[bytes]:
        """Start it; its output goes to a file in `folder`."""
        with (folder / "output.log").open("wb") as output:
            return subprocess.Popen(
                self.command(port, folder),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


def runner(session: str) -> Target:
    """Our runner, with a child for each session (`own`) or one for all (`shared`)."""

    def command(port: int, folder: Path) -> list[str]:
        configuration = {
            "version": 1,
            "command": CHILD_COMMAND,
            "env": {},
            "cwd": str(folder),
            "session": session,
            "sessionIdleSeconds": 900,
            "maxSessions": 200,
            "startupSeconds": 60,
            "requestBytes": 4194304,
        }
        path = folder / "runner.json"
        path.write_text(json.dumps(configuration))
        return [sys.executable, "-m", "mcp_runner", "--config", str(path), "--listen", f"127.0.0.1:{port}"]

    packages = os.pathsep.join(str(ROOT / "images" / name) for name in ("runner", "wire"))
    return Target(f"runner ({session})", command, {"PYTHONPATH": packages})


def mcp_proxy() -> Target:
    """mcp-proxy (PyPI): one child for all sessions."""
    program = python_bin(HERE / "peers") / "mcp-proxy"

    def command(port: int, folder: Path) -> list[str]:
        return [str(program), "--host", "127.0.0.1", "--port", str(port), "--", *CHILD_COMMAND]

    return Target("mcp-proxy", command, {})


def supergateway() -> Target:
    """supergateway (npm), stateful: a child for each session."""
    program = node_modules(HERE / "peers") / "supergateway" / "dist" / "index.js"
    options = ["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"]

    def command(port: int, folder: Path) -> list[str]:
        return ["node", str(program), "--stdio", shlex.join(CHILD_COMMAND), *options, "--port", str(port)]

    return Target("supergateway", command, {})
