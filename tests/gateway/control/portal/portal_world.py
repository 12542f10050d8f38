"""The portal with users, servers of every kind, and instances by a double of the launcher."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.ssrf import GuardedFetch
from mcp_gateway.control.app import build_control_side
from mcp_gateway.control.serve import open_state

from tests.gateway.control.control_site import Clock, Site, gateway_document, server, setting, single_user_server, user
from tests.gateway.control.flows import signed_in
from tests.gateway.launcher_double import LauncherDouble

EVERYONE = {"everyone": True, "users": [], "groups": []}
SECRET = "sk-live-7f3d9a2b51c0"
OTHER_SECRET = "sk-live-0e8c6b4a9911"


def settings() -> list[dict[str, Any]]:
    """One of each kind."""
    regions = [
        {"name": "Europe", "value": "eu", "description": "Frankfurt"},
        {"name": "", "value": "us", "description": ""},
    ]
    return [
        setting("API_KEY", usage="env", name="API key", description="Under Settings, Keys, in your account there."),
        setting("REGION", usage="env", name="Region", sensitive=False, options=regions),
        setting("CREDENTIALS", usage="file", name="Credentials", required=False),
        setting("NICKNAME", usage="env", name="Nickname", required=False, sensitive=False),
        setting("TEAM", usage="env", name="Team key", required=True),
    ]


def portal_document(**changes: Any) -> dict[str, Any]:
    """alice and bob have all servers, carol is the administrator; alice's team key is declared."""
    team = {login: {"TEAM": "declared-team-key"} for login in ("alice", "bob", "carol")}
    return (
        gateway_document(
            users=[user("alice", groups=["engineers"]), user("bob"), user("carol", admin=True)],
            servers=[
                single_user_server(
                    "memory",
                    name="Memory",
                    access=EVERYONE,
                    description="Remembers what you tell it, as a graph of people, places and things.",
                ),
                single_user_server(
                    "tickets",
                    name="Tickets",
                    access=EVERYONE,
                    userSettings=settings(),
                    userValues=team,
                    description="Reads and writes the tickets of your team, with your own key.",
                ),
                server("time", name="Time", access=EVERYONE, description="What time it is, anywhere."),
                server(
                    "weather",
                    name="Weather",
                    kind="remote",
                    access=EVERYONE,
                    description="Forecasts from the weather service.",
                    upstream={"url": "https://weather.example/mcp", "reach": "public", "headers": {}, "caFile": None},
                    userSettings=[setting("X-Api-Key", name="Weather key", required=False)],
                ),
                single_user_server("hidden", access={"everyone": False, "users": [], "groups": []}),
            ],
        )
        | changes
    )


@dataclass
class PortalWorld:
    """A control side that follows a launcher."""

    site: Site
    launcher: LauncherDouble

    async def settle(self, server_id: str, subject: str, state: str) -> None:
        """Wait until the control side knows an instance to be so."""
        async with asyncio.timeout(20):
            while self.site.control.instances.view(server_id, subject).state != state:
                await asyncio.sleep(0.02)

    async def subject(self, login: str) -> str:
        """The subject of a user."""
        found = await self.site.edge()
        return next(str(subject) for subject, each in found["subjects"].items() if each["login"] == login)

    async def give(self, browser: httpx.AsyncClient, server_id: str, **values: str) -> httpx.Response:
        """Fill in the form of a server's page and send it."""
        page = await browser.get(f"/servers/{server_id}")
        form = {"form_token": form_token(page.text)} | {f"value:{key}": value for key, value in values.items()}
        return await browser.post(f"/servers/{server_id}/values", data=form)

    async def act(self, browser: httpx.AsyncClient, server_id: str, action: str) -> httpx.Response:
        """Press a button of a server's page."""
        page = await browser.get(f"/servers/{server_id}")
        return await browser.post(f"/servers/{server_id}/{action}", data={"form_token": form_token(page.text)})

    async def person(self, login: str) -> httpx.AsyncClient:
        """A browser in which someone has signed in."""
        return await signed_in(self.site, login)


def form_token(page: str) -> str:
    """The token of a page's last form."""
    return str(re.findall(r'name="form_token" value="([^"]+)"', page)[-1])


@contextlib.asynccontextmanager
async def portal_world(folder: Path, empty_database: Path) -> AsyncIterator[PortalWorld]:
    """A world with `portal_document()` in force."""
    for name in ("state", "keys", "delivery"):
        (folder / name).mkdir()
    shutil.copy(empty_database, folder / "state")
    clock, lines = Clock(), io.StringIO()
    database, envelope = open_state(f"sqlite:///{folder / 'state' / 'gateway.db'}", folder / "keys" / "master.key")
    with LauncherDouble(folder / "launcher.sock", {"memory", "tickets"}, serve=False) as launcher:
        control = build_control_side(
            database=database,
            envelope=envelope,
            delivery=folder / "delivery",
            clock=clock,
            audit=AuditLog(clock, lines),
            fetch=GuardedFetch(),
            launcher=launcher.path,
        )
        site = Site(control, database, folder / "delivery", clock, lines)
        assert await site.deliver(portal_document()) == []
        following = asyncio.create_task(control.following.run())
        yield PortalWorld(site, launcher)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        for browser in site.browsers:
            await browser.aclose()
        await control.instances.launcher.close()
        database.close()


@contextlib.asynccontextmanager
async def published(world: PortalWorld) -> AsyncIterator[str]:
    """The portal on a TCP port of loopback; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert await world.site.deliver(portal_document(publicUrl=url)) == []
    config = uvicorn.Config(world.site.control.app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server_ = uvicorn.Server(config)
    serving = asyncio.create_task(server_.serve(sockets=[listener]))
    yield url
    server_.should_exit = True
    await serving
