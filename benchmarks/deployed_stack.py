"""A stack that a benchmark deploys, with state and secrets of its own, and the commands that a user would run on it."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import docker
from docker.errors import APIError
from docker.models.networks import Network
from docker.models.volumes import Volume
from ruamel.yaml import YAML

from tests.e2e.deployed import environment

ROOT = Path(__file__).parents[1]
COMMAND_SECONDS = 3600
yaml = YAML()


@dataclass(frozen=True, slots=True)
class Done:
    """A Pulumi command that ended well: its wall-clock seconds, and how many resources it did what to."""

    seconds: float
    resources: dict[str, int]


class DeployedStack:
    """The stack in a folder of its own; every user has a password."""

    def __init__(self, home: Path, name: str, config: Mapping[str, object], logins: Sequence[str]) -> None:
        """Make the stack, without servers. `config` is what stands in `Pulumi.<name>.yaml`, without catalog and
        users.
        """
        self.name = name
        self._home = home
        self._env = environment(home)
        self._env["PULUMI_CONFIG_PASSPHRASE"] = secrets.token_hex(16)
        self._config = home / f"Pulumi.{name}.yaml"
        self._catalog = home / "catalog.yaml"
        self.declare([])
        spaced = {f"mcp-hosting:{key}": value for key, value in config.items()}
        spaced["mcp-hosting:catalog"] = {"include": [str(self._catalog)]}
        spaced["mcp-hosting:users"] = [{"login": login, "displayName": login.capitalize()} for login in logins]
        yaml.dump({"config": spaced}, self._config)
        self._run("stack", "init")
        (ROOT / "stacks" / self._config.name).unlink(missing_ok=True)
        # The passwords are for a stack that nobody else reaches and that is gone in minutes.
        passwords = [f'mcp-hosting:passwords["{login}"]={secrets.token_urlsafe(18)}' for login in logins]
        self._run("config", "set-all", "--path", *(part for password in passwords for part in ("--secret", password)))

    def declare(self, entries: Sequence[Mapping[str, object]]) -> None:
        """Put these entries into the catalog, and no others."""
        yaml.dump([dict(entry) for entry in entries], self._catalog)

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

    def _run(self, *arguments: str) -> str:
        command = ["pulumi", "--non-interactive", *arguments, "--stack", self.name]
        if arguments[0] in {"up", "preview", "destroy", "config"}:
            command += ["--config-file", str(self._config)]
        done = subprocess.run(command, cwd=ROOT, env=self._env, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        if done.returncode:
            (self._home / "failed.log").write_text(done.stdout + done.stderr)
            what = " ".join(arguments[:2])
            raise RuntimeError(f"pulumi {what}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")
        return done.stdout


def label(stack: str) -> str:
    """What Docker has all of a stack's things under."""
    return f"mcp-hosting.stack={stack}"


def sweep(stack: str) -> None:
    """Remove what a stack left in Docker, its volumes too."""
    engine = docker.from_env()
    for container in engine.containers.list(all=True, filters={"label": label(stack)}):
        container.remove(force=True, v=True)
    left: list[Network | Volume] = [*engine.networks.list(filters={"label": label(stack)})]
    left += engine.volumes.list(filters={"label": label(stack)})
    for found in left:
        try:
            found.remove()
        except APIError as error:
            print(f"{found.id} is left: {error.explanation}", file=sys.stderr)
