"""A control side in this process: a real database, a real clock that tests may move, a browser and a client."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from mcp_gateway.control.app import ControlSide
from mcp_gateway.state.database import Database

PUBLIC_URL = "http://127.0.0.1:8765"
HOST = "app.example"
"""Where a client is published."""
PASSWORDS = {"alice": "correct horse", "bob": "battery staple", "carol": "third person"}
HASHES = {
    login: PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(password)
    for login, password in PASSWORDS.items()
}


def server(name: str, /, **changes: Any) -> dict[str, Any]:
    """A server of the gateway document that alice may use."""
    return {
        "id": name,
        "name": name.capitalize(),
        "description": f"The {name} server",
        "icon": "",
        "kind": "multiUser",
        "path": f"/mcp-connect/{name}",
        "upstream": {"url": f"http://10.201.0.2:8080/{name}", "reach": "private", "headers": {}, "caFile": None},
        "instance": None,
        "userValues": {},
        "userSettings": [],
        "access": {"everyone": False, "users": ["alice"], "groups": []},
        "tools": {"allowed": None},
        "limits": {"requestBytes": 4194304, "callsPerMinute": 600, "answerSeconds": 300},
    } | changes


def single_user_server(name: str, /, **changes: Any) -> dict[str, Any]:
    """A server of which each user has an instance, that alice may use."""
    instance = {"idleSeconds": 900, "startSeconds": 60, "volume": True, "secrets": {}}
    return server(name, kind="singleUser", upstream=None, instance=instance) | changes


def setting(key: str, /, **changes: Any) -> dict[str, Any]:
    """A user setting: a required header that takes any text."""
    return {
        "key": key,
        "usage": "header",
        "name": key.capitalize(),
        "description": "",
        "required": True,
        "sensitive": True,
        "prefix": "",
        "options": [],
    } | changes


def gateway_document(**changes: Any) -> dict[str, Any]:
    """A gateway document: alice may use `time` and `notes`, bob and alice `shared`, nobody `hidden`."""
    everyone = {"everyone": True, "users": [], "groups": []}
    nobody = {"everyone": False, "users": [], "groups": []}
    return {
        "version": 2,
        "stack": "test",
        "publicUrl": PUBLIC_URL,
        "allowedHosts": ["127.0.0.1:8765"],
        "allowedOrigins": [PUBLIC_URL],
        "tokens": {"accessSeconds": 300, "refreshSeconds": 2592000, "codeSeconds": 60},
        "registration": registration(),
        "users": [user("alice"), user("bob")],
        "servers": [
            server("time"),
            server("notes"),
            server("shared", access=everyone),
            server("hidden", access=nobody),
        ],
    } | changes


def registration(**changes: Any) -> dict[str, Any]:
    """The gateway document's way of registration."""
    return {"dynamic": True, "metadataDocuments": True, "metadataDomains": [], "nativeRedirectUris": []} | changes


def user(login: str, /, **changes: Any) -> dict[str, Any]:
    """A user of the gateway document."""
    return {
        "login": login,
        "displayName": login.capitalize(),
        "email": "",
        "admin": False,
        "groups": [],
        "passwordHash": HASHES[login],
    } | changes


@dataclass
class Clock:
    """The system's clock, that a test may set forward."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Site:
    """A running control side."""

    control: ControlSide
    database: Database
    folder: Path
    clock: Clock
    audit: io.StringIO
    url: str = PUBLIC_URL
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    async def deliver(self, document: dict[str, Any]) -> list[str]:
        """Deliver a document as the delivery does; the problems that were acknowledged."""
        path = self.folder / "gateway.json"
        path.unlink(missing_ok=True)
        path.write_text(json.dumps(document))
        await self.control.applier.poll()
        acknowledged: list[str] = json.loads((self.folder / "applied.json").read_text())["problems"]
        if not acknowledged:
            self.url = document["publicUrl"]
        return acknowledged

    def browser(self, address: str = "192.0.2.10") -> httpx.AsyncClient:
        """A browser with a cookie jar of its own, or a client, that doesn't follow redirects."""
        made = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.control.app),
            base_url=self.url,
            headers={"X-Forwarded-For": address},
        )
        self.browsers.append(made)
        return made

    def events(self, name: str) -> list[dict[str, Any]]:
        """The audit lines of one event."""
        lines = [json.loads(line) for line in self.audit.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    async def edge(self) -> dict[str, Any]:
        """The edge document as an edge gets it."""
        answer = await self.browser().get("/internal/edge")
        found: dict[str, Any] = answer.json()
        return found
