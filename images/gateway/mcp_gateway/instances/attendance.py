"""Looks after all instances: ends those that nobody uses or may have, replaces those that aren't current."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.concurrency import run_in_threadpool

from mcp_gateway.documents.gateway import GatewayDocument
from mcp_gateway.instances.decision import SETTLE_SECONDS, Step, step
from mcp_gateway.instances.permission import permitted
from mcp_gateway.instances.refusal import StartRefused, Unavailable
from mcp_gateway.instances.service import Instances
from mcp_gateway.instances.view import RUNNING, Key

LOOK_SECONDS: Final = 1.0
STOPS_AT_ONCE: Final = 16
REPLACED_AT_ONCE: Final = 2
"""Users' first requests come before what can wait."""
REST_SECONDS: Final = 30.0
"""What could not be replaced, or stopped, is let alone so long."""

_log = logging.getLogger("mcp_gateway.instances")


@dataclass
class Attendance:
    """Each look goes by what is there now and what is in force now, so that nothing is missed for good."""

    instances: Instances
    seen: GatewayDocument | None = None
    resting: dict[Key, float] = field(default_factory=dict)
    work: set[asyncio.Task[None]] = field(default_factory=set)
    stops: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STOPS_AT_ONCE))
    replacements: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REPLACED_AT_ONCE))

    async def run(self) -> None:
        """Look every second, and at once when something has changed."""
        while True:
            try:
                await self.look()
            except Exception:
                _log.exception("looking after instances failed")
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.instances.attention.wait()
            except TimeoutError:
                pass
            self.instances.attention.clear()

    async def look(self) -> None:
        """Look once, and begin what has to be done."""
        own = self.instances
        document = own.owners.live.document
        if document is None:
            return
        if document is not self.seen:
            own.logins = await run_in_threadpool(own.owners.logins)
            own.prepared.clear()
            own.roster.judged = True
            self.seen = document
        own.roster.publish()
        if not own.roster.known:
            return
        await run_in_threadpool(self._prepare, document)
        now = own.monotonic()
        own.activity.expire(now)
        there = frozenset(own.roster.instances)
        own.activity.forget(there)
        own.written = {key: values for key, values in own.written.items() if key in there or own.flights.busy(key)}
        own.settling = {key: since for key, since in own.settling.items() if key in there}
        self.resting = {key: until for key, until in self.resting.items() if until > now}
        for key in own.roster.withdrawn.copy():
            if key not in own.settling and not own.flights.busy(key):
                own.roster.restore(key)
        for key in there:
            self._look_at(key, document, now)

    def _prepare(self, document: GatewayDocument) -> None:
        own = self.instances
        for key, instance in list(own.roster.instances.items()):
            if instance.state == RUNNING and key not in own.prepared and permitted(document, own.logins, key):
                found = own.owners.prepare(key)
                if found is not None:
                    own.prepared[key] = found[1]

    def _look_at(self, key: Key, document: GatewayDocument, now: float) -> None:
        own = self.instances
        server = permitted(document, own.logins, key)
        instance, prepared = own.roster.instances[key], own.prepared.get(key)
        decided = step(
            instance,
            server,
            idle=own.activity.idle(key, now),
            revision=prepared.revision if prepared else None,
            missing=bool(prepared and prepared.missing),
        )
        if key in self.resting or own.flights.stopping(key):
            return
        if decided is Step.FORBIDDEN:
            self._begin(key, self._stop(key, decided), now)
        elif own.flights.busy(key):
            return
        elif decided is Step.KEEP:
            if own.settling.pop(key, None) is not None:
                own.roster.restore(key)
        elif key not in own.settling:
            own.settling[key] = now
            own.roster.withdraw(key)
        elif now - own.settling[key] >= SETTLE_SECONDS:
            work = self._replace(key) if decided is Step.REPLACE else self._stop(key, decided)
            self._begin(key, work, now)

    def _begin(self, key: Key, work: Coroutine[Any, Any, None], now: float) -> None:
        self.resting[key] = now + REST_SECONDS
        task = asyncio.create_task(self._do(key, work))
        self.work.add(task)
        task.add_done_callback(self.work.discard)

    async def _do(self, key: Key, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (StartRefused, Unavailable) as error:
            _log.warning("an instance of %s was not looked after: %s", key[0], error)
        else:
            self.resting.pop(key, None)

    async def _stop(self, key: Key, decided: Step) -> None:
        async with self.stops:
            own = self.instances
            if decided is Step.FORBIDDEN:
                # Looked at again: it waited for its turn.
                if not own.roster.admits(key):
                    await own.stop(*key, reason=decided.value)
            elif own.settling.pop(key, None) is not None:
                await own.stop(*key, reason=decided.value)

    async def _replace(self, key: Key) -> None:
        async with self.replacements:
            own = self.instances
            # Not if somebody has come for it while it waited for its turn.
            if own.settling.pop(key, None) is not None:
                await own.start(*key, replace=True)

    async def close(self) -> None:
        """End what is under way."""
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)
        await self.instances.flights.cancel()
        await self.instances.launcher.close()
