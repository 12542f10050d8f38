"""A stack of many equal servers, with state and secrets of its own, and the commands that a user would run on it."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import docker
from docker.errors import APIError
from docker.models.networks import Network
from docker.models.volumes import Volume
from ruamel.yaml import YAML

from tests.e2e.deployed import environment

ROOT = Path(__file__).parents[2]
STACK = "fleet"
PORT = 8770
LOGIN = "alice"
PACKAGE = "@modelcontextprotocol/server-sequential-thinking@2026.8.31"
COMMAND_SECONDS = 3600
LABEL = f"mcp-hosting.stack={STACK}"
yaml = YAML()


@dataclass(frozen=True, slots=True)
class Done:
    """A Pulumi command that ended well: its wall-clock seconds, and how many resources it did what to."""

    seconds: float
    resources: dict[str, int]


class Fleet:
    """The stack in a folder of its own."""

    def __init__(self, home: Path) -> None:
        """Make the stack, without servers."""
        self._home = home
        self._env = environment(home)
        self._env["PULUMI_CONFIG_PASSPHRASE"] = secrets.token_hex(16)
        self._config = home / f"Pulumi.{STACK}.yaml"
        self._catalog = home / "catalog.yaml"
        self.declare(0)
        yaml.dump({"config": _config(self._catalog)}, self._config)
        self._run("stack", "init")
        (ROOT / "stacks" / self._config.name).unlink(missing_ok=True)
        path = f'mcp-hosting:passwords["{LOGIN}"]'
        self._run("config", "set", "--secret", "--path", path, stdin=secrets.token_urlsafe(18))

    def declare(self, servers: int) -> None:
        """Put so many servers into the catalog."""
        yaml.dump([_entry(number) for number in range(servers)], self._catalog)

    def preview(self) -> Done:
        """What `up` would do."""
        return self._timed("preview")

    def up(self) -> Done:
        """Deploy what is declared."""
        return self._timed("up", "--yes", "--skip-preview")

    def destroy(self) -> Done:
        """Take everything down."""
        return self._timed("destroy", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        return cast("dict[str, Any]", json.loads(self._run("stack", "output", "--json", "--show-secrets")))

    def _timed(self, *command: str) -> Done:
        began = time.perf_counter()
        said = self._run(*command)
        seconds = time.perf_counter() - began
        summary = said.rpartition("Resources:")[2]
        counted = re.findall(r"^\s*(?:[-+~±]+ )?(\d+) (?:to )?(\w+)", summary, re.MULTILINE)
        return Done(seconds, {what: int(count) for count, what in counted})

    def _run(self, *arguments: str, stdin: str | None = None) -> str:
        command = ["pulumi", "--non-interactive", *arguments, "--stack", STACK]
        if arguments[0] in {"up", "preview", "destroy", "config"}:
            command += ["--config-file", str(self._config)]
        done = subprocess.run(
            command, cwd=ROOT, env=self._env, capture_output=True, text=True, input=stdin, timeout=COMMAND_SECONDS
        )
        if done.returncode:
            (self._home / "failed.log").write_text(done.stdout + done.stderr)
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")
        return done.stdout


def sweep() -> None:
    """Remove what the stack left in Docker, its volumes too."""
    engine = docker.from_env()
    for container in engine.containers.list(all=True, filters={"label": LABEL}):
        container.remove(force=True, v=True)
    left: list[Network | Volume] = [*engine.networks.list(filters={"label": LABEL})]
    left += engine.volumes.list(filters={"label": LABEL})
    for found in left:
        try:
            found.remove()
        except APIError as error:
            print(f"{found.id} is left: {error.explanation}", file=sys.stderr)


def _config(catalog: Path) -> dict[str, object]:
    return {
        "mcp-hosting:target": "docker",
        "mcp-hosting:catalog": {"include": [str(catalog)]},
        "mcp-hosting:users": [{"login": LOGIN, "displayName": "Alice"}],
        "mcp-hosting:publicUrl": f"http://127.0.0.1:{PORT}",
        "mcp-hosting:listen": {"address": "127.0.0.1", "port": PORT},
        "mcp-hosting:network": {"subnets": "10.204.0.0/16"},
        "mcp-hosting:gateway": {"limits": {"callsPerMinute": 1_000_000}},
    }


def _entry(number: int) -> dict[str, object]:
    return {
        "name": f"Thinking {number:02}",
        "entryKey": f"thinking-{number:02}",
        "shortDescription": "One of many",
        "serverUserType": "multiUser",
        "runtime": "npx",
        "npxConfig": {"package": PACKAGE},
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"cpu": "1000m", "memory": "256Mi"},
        },
    }
