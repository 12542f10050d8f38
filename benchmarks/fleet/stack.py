"""A stack of many equal servers."""

from __future__ import annotations

from pathlib import Path

from benchmarks import deployed_stack
from benchmarks.deployed_stack import DeployedStack

STACK = "fleet"
PORT = 8770
LOGIN = "alice"
PACKAGE = "@modelcontextprotocol/server-sequential-thinking@2026.8.31"
LABEL = deployed_stack.label(STACK)


class Fleet(DeployedStack):
    """The stack in a folder of its own."""

    def __init__(self, home: Path) -> None:
        """Make the stack, without servers."""
        super().__init__(home, STACK, _config(), [LOGIN])

    def declare_servers(self, count: int) -> None:
        """Put so many servers into the catalog."""
        self.declare([_entry(number) for number in range(count)])


def sweep() -> None:
    """Remove what the stack left in Docker, its volumes too."""
    deployed_stack.sweep(STACK)


def _config() -> dict[str, object]:
    return {
        "target": "docker",
        "publicUrl": f"http://127.0.0.1:{PORT}",
        "listen": {"address": "127.0.0.1", "port": PORT},
        "network": {"subnets": "10.204.0.0/16"},
        "gateway": {"limits": {"callsPerMinute": 1_000_000}},
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
