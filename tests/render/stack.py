"""One stack with a server of each runtime, and sources that stand for the project's own files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from components.plan.model import HostingPlan
from tests.unit.plan.declared import CONTAINER, NPX, REMOTE, UVX, ZONE, changed, planned

ROOT = Path(__file__).parents[2]

SERVERS = {
    "time": {**ZONE["time"], "values": {**ZONE["time"]["values"], "TOKEN": {"secret": "time-token"}}},
    "box": {
        "values": {"LICENSE": {"secret": "box-license"}, "REGION": "eu"},
        "secretsInEnvironment": {"reason": "the image reads its environment only"},
        "isolation": "gvisor",
    },
    "far": {"userValues": {"alice": {"X-Api-Key": {"secret": "alice-key"}}}},
    "everything": {"egress": {"unrestricted": True, "reason": "shows what the internet answers"}},
}
TOKEN = {"key": "TOKEN", "name": "Token", "required": True, "sensitive": True}
LICENSE = {"key": "LICENSE", "name": "License", "required": True, "sensitive": True}
REGION = {"key": "REGION", "name": "Region", "required": True}


@cache
def sources() -> dict[str, bytes]:
    """The real templates; the rest are short stand-ins, so that a snapshot doesn't follow every edit of an image."""
    found = {f"templates/images/{path.name}": path.read_bytes() for path in (ROOT / "templates" / "images").iterdir()}
    for name in ("gateway/mcp_gateway", "runner/mcp_runner", "wire/mcp_wire", "launcher/mcp_launcher"):
        found[f"images/{name}/__init__.py"] = b""
    for name in ("gateway", "runner"):
        found[f"images/{name}/requirements.txt"] = b"locked\n"
    return found


def full() -> HostingPlan:
    """The plan of a stack with everything in it."""
    entries = [
        NPX,
        changed(UVX, env=[*UVX["env"], TOKEN]),
        changed(CONTAINER, env=[LICENSE, REGION]),
        REMOTE,
    ]
    return planned(entries, servers=SERVERS)
