"""A control side that follows a double of the launcher, with a clock for use that tests move."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from mcp_gateway.audit.events import AuditLog
from mcp_gateway.control.app import build_control_side
from mcp_gateway.control.serve import open_state
from mcp_gateway.credentials.user_values import put
from mcp_gateway.instances.service import Instances
from mcp_gateway.login.accounts import subjects

from tests.gateway.control.control_site import Clock, Site, gateway_document, setting, single_user_server, user
from tests.gateway.launcher_double import LauncherDouble

EVERYONE = {"everyone": True, "users": [], "groups": []}
SECRET = "sk-live-7f3d9a2b51c0"
IDLE_SECONDS = 100


def instances_document(**changes: Any) -> dict[str, Any]:
    """alice and bob have `memory`, and `keyed`, which needs a key."""
    terms = {"idleSeconds": IDLE_SECONDS, "startSeconds": 60, "volume": True, "secrets": {}}
    return (
        gateway_document(
            users=[user("alice"), user("bob")],
            servers=[
                single_user_server("memory", access=EVERYONE, instance=terms),
                single_user_server(
                    "keyed",
                    access=EVERYONE,
                    instance={**terms, "secrets": {"secret:TEAM": "the-team's-own-secret"}},
                    userSettings=[setting("API_KEY", usage="env", name="API key")],
                ),
            ],
        )
        | changes
    )


@dataclass
class Monotonic:
    """A clock of use that a test sets forward."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class InstanceWorld:
    """One life of a control side."""

    site: Site
    launcher: LauncherDouble
    monotonic: Monotonic
    background: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def instances(self) -> Instances:
        return self.site.control.instances

    def key(self, login: str, server: str = "memory") -> tuple[str, str]:
        """Server and subject."""
        with self.site.database.begin() as db:
            return server, subjects(db)[login]

    def give(self, login: str, value: str | None, server: str = "keyed") -> None:
        """Keep a value as the portal does."""
        key = self.key(login, server)
        with self.site.database.begin() as db:
            put(db, self.instances.owners.envelope, key[1], server, {"API_KEY": value}, int(time.time()))
        self.instances.values_changed(*key)

    async def ask(self, key: tuple[str, str], failed: str | None = None) -> httpx.Response:
        """A start as the edge asks for it."""
        body = {"server": key[0], "subject": key[1], "failed": failed}
        return await self.site.browser().post("/internal/instances/start", json=body)

    async def use(self, *keys: tuple[str, str], open_posts: int = 0, idle: float = 0.0, worker: str = "w") -> None:
        """A worker's report."""
        uses = [{"server": a, "subject": b, "open": open_posts, "idleSeconds": idle} for a, b in keys]
        body = {"worker": worker, "instances": uses}
        assert (await self.site.browser().post("/internal/instances/active", json=body)).status_code == 204

    async def table(self) -> dict[tuple[str, str], str]:
        """The table as an edge gets it."""
        answer = (await self.site.browser().get("/internal/instances")).json()
        return {(each["server"], each["subject"]): each["url"] for each in answer["instances"]}

    async def look(self) -> None:
        """Look after the instances once, and wait for what that begins."""
        await self.site.control.attendance.look()
        while self.site.control.attendance.work:
            await asyncio.wait(self.site.control.attendance.work)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for instances, with an edge that is there and uses nothing."""
        self.monotonic.ahead += seconds
        await self.use(worker="idle")
        await self.look()

    async def close(self) -> None:
        """End this life; instances go on."""
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.site.control.attendance.close()
        for browser in self.site.browsers:
            await browser.aclose()
        self.site.database.close()


async def until(true: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def open_world(folder: Path, launcher: LauncherDouble, document: dict[str, Any] | None = None) -> InstanceWorld:
    """Begin a life of the control side on a folder; a second is a restart."""
    clock, monotonic, lines = Clock(), Monotonic(), io.StringIO()
    database, envelope = open_state(f"sqlite:///{folder / 'state' / 'gateway.db'}", folder / "keys" / "master.key")
    control = build_control_side(
        database=database,
        envelope=envelope,
        delivery=folder / "delivery",
        clock=clock,
        monotonic=monotonic,
        launcher=launcher.path,
        audit=AuditLog(clock, lines),
    )
    world = InstanceWorld(Site(control, database, folder / "delivery", clock, lines), launcher, monotonic)
    if document is None:
        await control.applier.restore()
    else:
        assert await world.site.deliver(document) == []
    await control.attendance.look()
    world.background = [asyncio.create_task(control.following.run())]
    return world


@asynccontextmanager
async def new_world(
    folder: Path, empty_database: Path, launcher: LauncherDouble, document: dict[str, Any] | None = None
) -> AsyncIterator[InstanceWorld]:
    """A first life with `instances_document()` in force."""
    for name in ("state", "keys", "delivery"):
        (folder / name).mkdir()
    shutil.copy(empty_database, folder / "state")
    world = await open_world(folder, launcher, document or instances_document())
    await until(lambda: world.instances.roster.known or not launcher.path.exists())
    await world.use(worker="idle")
    try:
        yield world
    finally:
        with contextlib.suppress(RuntimeError):
            await world.close()
