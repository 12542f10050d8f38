"""A stack of the tests' own, made from the quickstart's files, and the commands that a user would run on it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import docker
from docker.models.containers import Container
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
STACK = "e2e"
PORT = 8766
IDLE_SECONDS = 6
"""After which an unused instance of the memory is stopped."""
ADDED = {
    "bridged-personal": {
        "name": "Bridged",
        "entryKey": "bridged-personal",
        "shortDescription": "A stdio server with a secret variable and a secret file of each user's own",
        "serverUserType": "singleUser",
        "runtime": "npx",
        "npxConfig": {"package": "@modelcontextprotocol/server-everything@2026.8.31"},
        "env": [
            {"key": "BRIDGED_TOKEN", "name": "Token", "required": True, "sensitive": True, "prefix": "token "},
            {"key": "BRIDGED_FILE", "name": "Credentials", "required": True, "sensitive": True, "file": True},
            {"key": "BRIDGED_EDITION", "value": "first"},
        ],
    }
}
"""What the tests' stack has beside the quickstart's servers."""
yaml = YAML()


def environment(home: Path) -> dict[str, str]:
    """What a shell has in which `make setup` ran, with a state of its own so that the user's stacks are left alone."""
    shown = subprocess.run(
        [sys.executable, "-m", "engine", "env", "--json"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    state = home / "state"
    state.mkdir(exist_ok=True)
    return {
        **os.environ,
        **json.loads(shown.stdout),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "only for tests",
        "NO_COLOR": "1",
    }


@dataclass
class Deployed:
    """The running stack. `up` is what `pulumi up` does; everything is read back from outputs and from Docker."""

    home: Path
    env: dict[str, str]
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def config_file(self) -> Path:
        return self.home / f"Pulumi.{STACK}.yaml"

    @property
    def catalog(self) -> Path:
        return self.home / "catalog"

    def pulumi(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        command = ["pulumi", "--non-interactive", *arguments, "--stack", STACK]
        if arguments[0] in {"up", "preview", "refresh", "destroy", "config"}:
            command += ["--config-file", str(self.config_file)]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, input=stdin, timeout=1500
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def up(self) -> str:
        said = self.pulumi("up", "--yes", "--skip-preview")
        self.outputs = json.loads(self.pulumi("stack", "output", "--json", "--show-secrets"))
        return said

    def server(self, name: str) -> str:
        return cast("str", self.outputs["servers"][name])

    def password(self, login: str) -> str:
        return cast("str", self.outputs["passwords"][login])

    def container(self, part: str) -> Container:
        return docker.from_env().containers.get(f"mcp-{STACK}-{part}")

    def containers(self) -> list[Container]:
        label = f"mcp-hosting.stack={STACK}"
        return docker.from_env().containers.list(all=True, filters={"label": label}, ignore_removed=True)

    def networks(self) -> list[str]:
        found = docker.from_env().networks.list(filters={"label": f"mcp-hosting.stack={STACK}"})
        return [str(each.name) for each in found]

    def remove_volumes(self) -> None:
        for volume in docker.from_env().volumes.list(filters={"label": f"mcp-hosting.stack={STACK}"}):
            volume.remove()


def prepare(home: Path) -> Deployed:
    """The quickstart under another name, port and address range, with passwords set as a user sets them."""
    deployed = Deployed(home, environment(home))
    config = yaml.load(ROOT / "stacks" / "Pulumi.quickstart.yaml")
    config.pop("encryptionsalt", None)
    values = config["config"]
    for key in ("mcp-hosting:passwords", "mcp-hosting:secrets"):
        values.pop(key, None)
    values["mcp-hosting:publicUrl"] = f"http://127.0.0.1:{PORT}"
    values["mcp-hosting:listen"] = {"address": "127.0.0.1", "port": PORT}
    values["mcp-hosting:network"] = {"subnets": "10.202.0.0/16"}
    deployed.catalog.mkdir()
    included = []
    for place in values["mcp-hosting:catalog"]["include"]:
        source = ROOT / place
        for file in sorted(source.rglob("*.yaml")) if source.is_dir() else [source]:
            text = file.read_text().replace("mcp-quickstart-", f"mcp-{STACK}-")
            (deployed.catalog / file.name).write_text(text)
        included = [str(deployed.catalog)]
    for name, entry in ADDED.items():
        yaml.dump(entry, deployed.catalog / f"{name}.yaml")
    values["mcp-hosting:servers"]["memory"]["idleSeconds"] = IDLE_SECONDS
    values["mcp-hosting:servers"]["bridged-personal"] = {"idleSeconds": IDLE_SECONDS}
    values["mcp-hosting:catalog"]["include"] = included
    yaml.dump(config, deployed.config_file)
    deployed.pulumi("stack", "init", check=False)
    (ROOT / "stacks" / f"Pulumi.{STACK}.yaml").unlink(missing_ok=True)
    for user in values["mcp-hosting:users"]:
        deployed.pulumi(
            "config",
            "set",
            "--secret",
            "--path",
            f'mcp-hosting:passwords["{user["login"]}"]',
            stdin=secrets.token_urlsafe(18),
        )
    return deployed
