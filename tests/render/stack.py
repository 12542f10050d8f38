"""One stack with a server of each runtime and kind, and sources that stand for the project's own files."""

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
    "notes": {
        "values": {"TEAM": {"secret": "notes-team"}},
        "userValues": {"alice": {"REGION": "eu", "TOKEN": {"secret": "alice-notes"}}},
        "session": "shared",
        "idleSeconds": 300,
    },
    "desk": {"user": "1000:2000", "volume": {"path": "/var/lib/desk"}},
}
TOKEN = {"key": "TOKEN", "name": "Token", "required": True, "sensitive": True}
LICENSE = {"key": "LICENSE", "name": "License", "required": True, "sensitive": True}
REGION = {"key": "REGION", "name": "Region", "required": True}

NOTES = {
    "name": "Notes",
    "entryKey": "notes",
    "runtime": "npx",
    "metadata": {"volume": "/data"},
    "npxConfig": {"package": "notes@1.0.0", "args": ["--region=${REGION}", "--verbose"]},
    "env": [
        {
            "key": "REGION",
            "name": "Region",
            "required": True,
            "options": [{"name": "Europe", "value": "eu"}, {"name": "US", "value": "us", "description": "East"}],
        },
        {"key": "TOKEN", "name": "Token", "required": True, "sensitive": True, "prefix": "Bearer "},
        {"key": "TEAM", "name": "Team", "required": True, "sensitive": True, "prefix": "team-"},
        {"key": "FILE", "value": "/data/notes.json"},
        {"key": "creds.json", "name": "Credentials", "sensitive": True},
    ],
}
DESK = {
    "type": "entry",
    "name": "Desk",
    "entryKey": "desk",
    "runtime": "containerized",
    "serverUserType": "singleUser",
    "containerizedConfig": {
        "image": "example.org/desk:2.0",
        "port": 3000,
        "path": "/mcp",
        "healthzPath": "/ready",
        "command": "/bin/desk",
        "args": ["--place", "${PLACE}"],
    },
    "config": [
        {"key": "PLACE", "name": "Place", "usage": "interpolated", "required": True},
        {"key": "LICENSE", "name": "License", "usage": "file", "sensitive": True, "required": True},
        {"key": "X-Mode", "usage": "header", "value": "strict", "static": True},
        {"key": "X-Key", "name": "Key", "usage": "header", "sensitive": True, "required": True},
    ],
}


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
        NOTES,
        DESK,
    ]
    return planned(entries, servers=SERVERS)
