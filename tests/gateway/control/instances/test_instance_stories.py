"""Random stories: nobody is given another's instance, there is one of each, every call ends, nothing stays behind."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp_gateway.instances.service import StartRefused, Unavailable

from tests.gateway.control.control_site import single_user_server, user
from tests.gateway.control.instances.instance_world import (
    IDLE_SECONDS,
    InstanceWorld,
    instances_document,
    new_world,
    open_world,
    until,
)
from tests.gateway.launcher_double import LauncherDouble

LOGINS, SERVERS = ("alice", "bob"), ("memory", "keyed")
ONLY_ALICE = {"everyone": False, "users": ["alice"], "groups": []}
DOCUMENTS: tuple[dict[str, Any], ...] = (
    instances_document(),
    instances_document(users=[user("alice")]),
    instances_document(servers=[single_user_server("memory", access=ONLY_ALICE)]),
)

GIVEN = (None, "one-value", "other-value")

whose = st.tuples(st.sampled_from(LOGINS), st.sampled_from(SERVERS))
steps = st.one_of(
    st.tuples(st.sampled_from(("start", "start", "stop", "restart", "replace", "delete", "die", "fail")), whose),
    st.tuples(st.just("use"), st.tuples(whose, st.integers(0, 1))),
    st.tuples(
        st.just("value"), st.tuples(st.sampled_from(LOGINS), st.sampled_from((None, "one-value", "other-value")))
    ),
    st.tuples(st.just("time"), st.sampled_from((1.0, 7.0, 11.0, 21.0, IDLE_SECONDS + 1.0))),
    st.tuples(st.just("day"), st.sampled_from((-86_400.0, 86_400.0))),
    st.tuples(st.just("template"), st.sampled_from(SERVERS)),
    st.tuples(st.just("document"), st.sampled_from(range(len(DOCUMENTS)))),
    st.tuples(st.sampled_from(("look", "rest", "away", "back", "reboot", "control")), st.none()),
)


class Story:
    """One story; `asked` are the calls under way."""

    def __init__(self, folder: Path, world: InstanceWorld) -> None:
        self.folder = folder
        self.world = world
        self.asked: list[asyncio.Task[None]] = []
        self.owners: dict[str, tuple[str, str]] = {}
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}

    def key(self, login: str, server: str) -> tuple[str, str]:
        """A subject that may be gone by now: someone may still ask in its name."""
        with suppress(KeyError):
            self.keys[login, server] = self.world.key(login, server)
        return self.keys[login, server]

    def check(self) -> None:
        """The table tells of nobody's instance but the key's own."""
        with self.world.launcher._changed:
            self.owners.update({each.url: each.key for each in self.world.launcher.instances.values() if each.url})
        for key, url in self.world.instances.roster.urls.items():
            assert self.owners[url] == key

    async def start(self, key: tuple[str, str], *, replace: bool = False) -> None:
        with suppress(StartRefused):
            url = await self.world.instances.start(*key, force=True, replace=replace)
            self.check()
            assert self.owners[url] == key

    async def quietly(self, work: Any) -> None:
        with suppress(StartRefused, Unavailable):
            await work

    def begin(self, work: Any) -> None:
        self.asked.append(asyncio.create_task(self.quietly(work)))

    async def step(self, action: str, about: Any) -> None:
        world, launcher = self.world, self.world.launcher
        own = world.instances
        match action:
            case "start" | "replace":
                self.begin(self.start(self.key(*about), replace=action == "replace"))
            case "stop":
                self.begin(own.stop(*self.key(*about)))
            case "restart":
                self.begin(own.restart(*self.key(*about)))
            case "delete":
                self.begin(own.delete_data(*self.key(*about)))
            case "die":
                launcher.die(self.key(*about))
            case "fail":
                self.begin(self.world.ask(self.key(*about), failed=own.roster.urls.get(self.key(*about))))
            case "use":
                await world.use(self.key(*about[0]), open_posts=about[1])
            case "value":
                with suppress(KeyError):
                    world.give(about[0], about[1])
            case "time":
                world.monotonic.ahead += about
                await world.use(worker="idle")
            case "day":
                world.site.clock.ahead += about
            case "template":
                launcher.change_template(about)
            case "document":
                assert await world.site.deliver(DOCUMENTS[about]) == []
            case "look":
                await world.site.control.attendance.look()
            case "rest":
                await asyncio.sleep(0.01)
            case "away":
                launcher.halt()
            case "back":
                launcher.halt()
                launcher.resume()
            case "reboot":
                launcher.forget()
            case "control":
                await world.close()
                await asyncio.gather(*self.asked, return_exceptions=True)
                self.asked = []
                self.world = await open_world(self.folder, launcher)

    async def end(self) -> None:
        """Everything comes to rest: every call has ended, and what runs belongs to somebody who may have it."""
        world, launcher = self.world, self.world.launcher
        launcher.halt()
        launcher.resume()
        async with asyncio.timeout(30):
            await asyncio.gather(*self.asked)
            await world.instances.flights.settle()
        assert await world.site.deliver(DOCUMENTS[1]) == []
        await until(lambda: world.instances.roster.known)

        async def at_rest() -> bool:
            await world.pass_time(IDLE_SECONDS)
            return not launcher.instances

        await until(at_rest)
        await until(lambda: not world.instances.roster.instances)
        assert await world.table() == {}
        assert not world.instances.roster.withdrawn
        assert not world.instances.settling


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=3, max_size=25))
def test_stories(empty_database: Path, story: list[tuple[str, Any]]) -> None:
    async def tell() -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            with LauncherDouble(folder / "l.sock", set(SERVERS), serve=False) as launcher:
                async with new_world(folder, empty_database, launcher) as world:
                    told = Story(folder, world)
                    for login in LOGINS:
                        for server in SERVERS:
                            told.key(login, server)
                        world.give(login, f"{login}'s-value")
                    try:
                        for action, about in story:
                            await told.step(action, about)
                            await asyncio.sleep(0)
                            told.check()
                        await told.end()
                    finally:
                        if told.world is not world:
                            await told.world.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    asyncio.run(tell())
