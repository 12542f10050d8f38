"""A stack with one single-user server and as many users as are measured."""

from __future__ import annotations

from pathlib import Path

from benchmarks import deployed_stack
from benchmarks.deployed_stack import DeployedStack

STACK = "instances"
PORT = 8771
SERVER = "memory"
URL = f"http://127.0.0.1:{PORT}"
PACKAGE = "@modelcontextprotocol/server-memory@2026.8.31"
ENTRY: dict[str, object] = {
    "name": "Memory",
    "entryKey": SERVER,
    "shortDescription": "Everyone's own",
    "metadata": {"volume": "/data"},
    "serverUserType": "singleUser",
    "runtime": "npx",
    "npxConfig": {"package": PACKAGE},
    "env": [{"key": "MEMORY_FILE_PATH", "value": "/data/memory.jsonl"}],
    "resources": {
        "requests": {"cpu": "10m", "memory": "64Mi"},
        "limits": {"cpu": "1000m", "memory": "256Mi"},
    },
}


class Crowd(DeployedStack):
    """The stack in a folder of its own."""

    def __init__(self, home: Path, logins: list[str], starts_at_once: int) -> None:
        """Make the stack for these users; `starts_at_once` is the launcher's limit."""
        config = {
            "target": "docker",
            "publicUrl": URL,
            "listen": {"address": "127.0.0.1", "port": PORT},
            "network": {"subnets": "10.205.0.0/16"},
            "instances": {"total": len(logins), "startsAtOnce": starts_at_once},
            "servers": {SERVER: {"session": "shared"}},
            "gateway": {"limits": {"callsPerMinute": 1_000_000}},
        }
        super().__init__(home, STACK, config, logins)
        self.declare([ENTRY])


def sweep() -> None:
    """Remove what the stack left in Docker, its volumes too."""
    deployed_stack.sweep(STACK)
