"""Stacks as people declare them, in few words, for tests of plan, rendering and deploy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.catalog.read import distinct, entry
from components.config.stack import StackConfig
from components.errors import Problems
from components.plan.build import plan
from components.plan.model import HostingPlan, Server

NPX = {
    "name": "Everything",
    "entryKey": "everything",
    "runtime": "npx",
    "serverUserType": "multiUser",
    "npxConfig": {"package": "@modelcontextprotocol/server-everything@2026.8.31"},
}
UVX = {
    "name": "Time",
    "entryKey": "time",
    "runtime": "uvx",
    "serverUserType": "multiUser",
    "uvxConfig": {"package": "mcp-server-time==2026.10.19", "args": ["--local-timezone", "${LOCAL_TIMEZONE}"]},
    "env": [{"key": "LOCAL_TIMEZONE", "name": "Zone", "required": True}],
}
CONTAINER = {
    "name": "Box",
    "entryKey": "box",
    "runtime": "containerized",
    "serverUserType": "multiUser",
    "containerizedConfig": {"image": "example.org/box:1.2", "port": 3000, "path": "/mcp"},
}
REMOTE = {
    "name": "Far",
    "entryKey": "far",
    "runtime": "remote",
    "remoteConfig": {
        "fixedURL": "https://mcp.example.org/mcp",
        "headers": [{"key": "X-Api-Key", "name": "API key", "required": True, "sensitive": True, "prefix": "Key "}],
    },
}
ZONE = {"time": {"values": {"LOCAL_TIMEZONE": "Etc/UTC"}}}
USERS = [{"login": "alice", "admin": True, "groups": ["staff"]}, {"login": "bob"}]


def changed(base: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """An entry with some fields replaced."""
    return {**base, **fields}


def planned(
    entries: Sequence[Mapping[str, Any]],
    *,
    servers: Mapping[str, Any] | None = None,
    secrets: frozenset[str] | None = None,
    passwords: frozenset[str] | None = None,
    stack: str = "test",
    **config: Any,
) -> HostingPlan:
    """The plan of a stack with two users and these entries."""
    model = StackConfig.model_validate({"users": USERS, "servers": servers or {}, **config})
    found = distinct(entry(dict(data), file="catalog.yaml") for data in entries)
    return plan(model, found, stack=stack, secrets=secrets, passwords=passwords)


def server(hosting: HostingPlan, identifier: str) -> Server:
    """One server of a plan."""
    return next(each for each in hosting.servers if each.id == identifier)


def refusals(entries: Sequence[Mapping[str, Any]], **config: Any) -> str:
    """What is wrong with a stack, as people read it."""
    try:
        planned(entries, **config)
    except Problems as problems:
        return str(problems)
    raise AssertionError("nothing was refused")
