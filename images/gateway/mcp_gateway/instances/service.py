"""Users' instances as the control side's other parts use them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.concurrency import run_in_threadpool

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.instances import messages
from mcp_gateway.instances.activity import Activity
from mcp_gateway.instances.decision import is_stale
from mcp_gateway.instances.flights import Flights, StartFlight
from mcp_gateway.instances.launcher import Launcher, LauncherAway, LauncherFailure
from mcp_gateway.instances.masking import Masking
from mcp_gateway.instances.owners import Owners
from mcp_gateway.instances.permission import permitted
from mcp_gateway.instances.refusal import StartRefused, Unavailable
from mcp_gateway.instances.roster import Roster
from mcp_gateway.instances.values import StartValues
from mcp_gateway.instances.view import RUNNING, STARTING, STOPPED, STOPPING, InstanceView, Key, Usage

__all__ = ["InstanceView", "Instances", "StartRefused", "Unavailable", "Usage"]

STARTS_AT_ONCE: Final = 48
"""Starts that are with the launcher; it hears 72, and refuses more."""
LAUNCH_SECONDS: Final = 630.0

_log = logging.getLogger("mcp_gateway.instances")


@dataclass
class Instances:
    """Starts, stops and shows instances. A subject is `users.id`; `clock` is the time of day, `monotonic` is not."""

    owners: Owners
    launcher: Launcher
    audit: AuditLog
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    roster: Roster = field(init=False)
    activity: Activity = field(init=False)
    flights: Flights = field(default_factory=Flights)
    logins: dict[str, str] = field(default_factory=dict)
    prepared: dict[Key, StartValues] = field(default_factory=dict)
    """What each instance would be started with now; one that isn't here is to be looked at."""
    written: dict[Key, frozenset[str]] = field(default_factory=dict, repr=False)
    """Sensitive values that an instance got since this process began: its log may show them."""
    settling: dict[Key, float] = field(default_factory=dict)
    """Withdrawn for want of use since then, and not stopped yet: a start takes it back."""
    attention: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STARTS_AT_ONCE))

    def __post_init__(self) -> None:
        """Know nothing yet; use counts from now."""
        self.roster = Roster(lambda key: permitted(self.owners.live.document, self.logins, key) is not None)
        self.activity = Activity(self.monotonic())

    async def start(
        self, server_id: str, subject: str, *, force: bool = False, replace: bool = False, failed: str | None = None
    ) -> str:
        """The URL of the user's instance, when it is ready.

        `force` tries also when the last start has failed a moment ago, `replace` has one that isn't current replaced,
        `failed` is a URL that could not be reached.

        Raises:
            StartRefused: why there is none.
        """
        key = (server_id, subject)
        if self.settling.pop(key, None) is not None:
            self.activity.started(key, self.monotonic())
            self.roster.restore(key)
        url = self.roster.urls.get(key)
        if url is not None and url != failed and not replace and not self.flights.busy(key):
            return url
        return await self.flights.start(key, lambda flight: self._launch(key, flight, force=force, replace=replace))

    async def stop(self, server_id: str, subject: str, *, reason: str = "asked") -> None:
        """Stop the user's instance, also one that is starting; its data stays.

        Raises:
            Unavailable: it could not be stopped.
        """
        await self._end((server_id, subject), reason, with_data=False)

    async def restart(self, server_id: str, subject: str) -> None:
        """Stop and start, at once. Raises StartRefused and Unavailable."""
        await self.stop(server_id, subject, reason="restart")
        await self.start(server_id, subject, force=True)

    async def delete_data(self, server_id: str, subject: str) -> None:
        """Stop the user's instance and remove its volume. Raises Unavailable."""
        key = (server_id, subject)
        # One that is under way stops the instance only.
        while self.flights.stopping(key):
            await self.stop(server_id, subject)
        await self._end(key, "data deleted", with_data=True)

    def view(self, server_id: str, subject: str) -> InstanceView:
        """How an instance stands."""
        key = (server_id, subject)
        instance = self.roster.instances.get(key)
        state = instance.state if instance else STOPPED
        if self.flights.stopping(key):
            state = STOPPING
        elif self.flights.starting(key) and state != RUNNING:
            state = STARTING
        last = self.activity.last_used(key)
        prepared = self.prepared.get(key)
        return InstanceView(
            server=server_id,
            subject=subject,
            state=state,
            started_at=instance.started_at if instance and state == RUNNING else None,
            reason=self._masking(key).mask(instance.reason) if instance else "",
            stale=bool(instance and is_stale(instance, prepared.revision if prepared else None)),
            has_data=key in self.roster.data,
            last_used=None if last is None else self.clock() - (self.monotonic() - last),
        )

    def all(self) -> list[InstanceView]:
        """All instances, and those that are about to be."""
        keys = {*self.roster.instances, *self.roster.data}
        return [self.view(*key) for key in sorted(keys)]

    async def log(self, server_id: str, subject: str, *, lines: int = 200, follow: bool = False) -> AsyncIterator[str]:
        """The last lines that the instance wrote, and with `follow` those that come. Sensitive values are masked.

        Raises:
            Unavailable: the launcher is away.
        """
        key = (server_id, subject)
        prepared = await run_in_threadpool(self.owners.prepare, key)
        now = prepared[1].sensitive if prepared else frozenset()
        try:
            async for line in self.launcher.log(key, lines=lines, follow=follow):
                yield Masking(now | self.written.get(key, frozenset())).mask(line)
        except (LauncherAway, LauncherFailure) as error:
            raise self._unavailable(error) from None

    async def export(self, server_id: str, subject: str) -> AsyncIterator[bytes]:
        """The content of the instance's volume as a tar file. Raises Unavailable, also in its midst."""
        try:
            async for part in self.launcher.data((server_id, subject)):
                yield part
        except (LauncherAway, LauncherFailure) as error:
            raise self._unavailable(error) from None

    async def usage(self) -> dict[Key, Usage]:
        """What each instance that runs takes. Raises Unavailable."""
        try:
            return await self.launcher.usage()
        except (LauncherAway, LauncherFailure) as error:
            raise self._unavailable(error) from None

    def values_changed(self, server_id: str, subject: str) -> None:
        """Have the instance replaced when nobody uses it, if it would be another one now."""
        self.prepared.pop((server_id, subject), None)
        self.attention.set()

    async def _launch(self, key: Key, flight: StartFlight, *, force: bool, replace: bool) -> str:
        try:
            return await self._launched(key, flight, force=force, replace=replace)
        finally:
            if replace and not flight.sent:
                self.roster.restore(key)
            elif replace and not flight.launched:
                # The former one may be gone or not: the next list tells.
                self.roster.forget(key, self.monotonic())

    async def _launched(self, key: Key, flight: StartFlight, *, force: bool, replace: bool) -> str:
        found = await run_in_threadpool(self.owners.prepare, key)
        document = self.owners.live.document
        if found is None or document is None:
            raise StartRefused("unknown", messages.UNKNOWN)
        server, values = found
        self.prepared[key] = values
        if values.missing:
            raise messages.missing_values(document.public_url, server, values.missing)
        before = self.roster.instances.get(key)
        try:
            async with self.turn:
                flight.check()
                if replace:
                    self.roster.withdraw(key)
                self.written[key] = self.written.get(key, frozenset()) | values.sensitive
                flight.sent = True
                instance = await self.launcher.start(
                    key, values.placeholders, values.revision, replace=replace, force=force, seconds=LAUNCH_SECONDS
                )
                flight.launched = True
        except LauncherFailure as error:
            self._record("instance-failed", key, error.code)
            raise messages.refused(document.public_url, server, error, self._masking(key)) from None
        except LauncherAway as error:
            self._record("instance-failed", key, "launcher away")
            _log.warning("start of an instance of %s: %s", key[0], error)
            raise StartRefused("unavailable", messages.AWAY, messages.AWAY_RETRY_SECONDS) from None
        if flight.stopped:
            return instance.url
        now = self.monotonic()
        self.activity.started(key, now)
        if key[1] not in self.logins:
            self.logins = await run_in_threadpool(self.owners.logins)
        self.roster.learn(instance, now)
        # Values may have changed while it started.
        self.prepared.pop(key, None)
        self.attention.set()
        if before is None or before.started_at != instance.started_at:
            self._record("instance-started", key, "replaced" if replace and before else "asked")
        if not self.roster.admits(key):
            raise StartRefused("unknown", messages.UNKNOWN)
        return instance.url

    async def _end(self, key: Key, reason: str, *, with_data: bool) -> None:
        self.settling.pop(key, None)

        async def end() -> None:
            there, done = self.roster.instances.get(key), False
            self.roster.withdraw(key)
            try:
                await (self.launcher.delete_data(key) if with_data else self.launcher.stop(key))
                done = True
            except (LauncherAway, LauncherFailure) as error:
                raise self._unavailable(error) from None
            finally:
                if not done:
                    # It may still run: if it does not, the list tells.
                    self.roster.restore(key)
            self.roster.forget(key, self.monotonic())
            if with_data:
                self.roster.data -= {key}
            if there is not None:
                self._record("instance-stopped", key, reason)

        await self.flights.stop(key, end)

    def _masking(self, key: Key) -> Masking:
        prepared = self.prepared.get(key)
        return Masking(self.written.get(key, frozenset()) | (prepared.sensitive if prepared else frozenset()))

    def _unavailable(self, error: LauncherAway | LauncherFailure) -> Unavailable:
        if isinstance(error, LauncherFailure) and error.code != "engine":
            return Unavailable(f"{error.message[:1].upper()}{error.message[1:].rstrip('.')}.")
        _log.warning("%s", error)
        return Unavailable()

    def _record(self, event: str, key: Key, reason: str) -> None:
        self.audit.record(event, server=key[0], subject=key[1], login=self.logins.get(key[1]), reason=reason)
