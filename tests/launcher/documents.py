"""Template documents for the launcher's tests."""

import json
from typing import Any

IMAGE = "sha256:" + "1" * 64
READY_IMAGE = "sha256:" + "2" * 64
SUBJECT = "0b0cf1d0-6f0e-4f7e-9d3c-0d4cf6a1c001"
OTHER = "0b0cf1d0-6f0e-4f7e-9d3c-0d4cf6a1c002"


def server(name: str = "memory", /, **changed: Any) -> dict[str, Any]:
    """A server that the runner bridges, with a volume, values in variables and a file."""
    return {
        "id": name,
        "name": f"mcp-s-{name}",
        "image": IMAGE,
        "bridge": {"session": "shared", "sessionIdleSeconds": 900, "maxSessions": 100},
        "command": [["/app/bin/server"], ["--region=", {"value": "user:REGION"}]],
        "args": [],
        "env": {
            "MEMORY_FILE_PATH": ["/data/memory.json"],
            "API_KEY": [{"value": "user:API_KEY"}],
            "TEAM": ["team-", {"value": "secret:TEAM"}],
            "CREDS": ["/run/mcp/files/CREDS"],
        },
        "files": {"CREDS": [{"value": "user:CREDS"}]},
        "port": 8080,
        "path": "/mcp",
        "healthPath": "/healthz",
        "startSeconds": 20,
        "requestBytes": 4194304,
        "amounts": {"memoryMib": 64, "reservedMemoryMib": None, "cpus": 0.5, "cpuShares": None, "processes": 64},
        "installs": False,
        "runtime": None,
        "internet": False,
        "user": None,
        "volume": {"path": "/data"},
    } | changed


def own_http(name: str = "box", /, **changed: Any) -> dict[str, Any]:
    """A server whose image speaks HTTP itself."""
    return server(
        name,
        bridge=None,
        command=[["/app/serve"], [{"value": "user:REGION"}]],
        args=[["--key=", {"value": "user:API_KEY"}, ";end"]],
        volume=None,
        **changed,
    )


def document(*servers: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The whole document."""
    return {
        "version": 1,
        "stack": "s",
        "range": "10.213.128.0/24",
        "uids": {"first": 30000, "count": 1000},
        "limits": {"total": 20, "perUser": 5, "startsAtOnce": 4},
        "ready": {"image": READY_IMAGE, "script": "print('ready')"},
        "servers": list(servers),
    } | changed


def encoded(found: dict[str, Any]) -> bytes:
    """A document as it is delivered."""
    return json.dumps(found).encode()
