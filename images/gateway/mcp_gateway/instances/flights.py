"""Starts and stops under way: one of each for an instance, in order, however many ask and whoever goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from mcp_gateway.instances.refusal import StartRefused, Unavailable
from mcp_gateway.instances.view import Key

START_SECONDS: Final = 640.0
"""A start, with the stop that it waits for and its turn. The edge gives up after 660 s."""
STOP_SECONDS: Final = 90.0

STOPPED_MEANWHILE: Final = "The instance was stopped while it was starting. Try again."


class StartFlight:
    """A start. `sent`: the launcher may have begun; `launched`: it has answered; `stopped`: it was called off."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[str] | None = None
        self.sent = False
        self.launched = False
        self.stopped = False

    def check(self) -> None:
        """Raise StartRefused when it was called off."""
        if self.stopped:
            raise StartRefused("unavailable", STOPPED_MEANWHILE, 1)

    def call_off(self) -> None:
        """End it: at once, unless the launcher has to be told."""
        self.stopped = True
        if not self.sent and self.task is not None:
            self.task.cancel()


class Flights:
    """All that is under way. They go on when those who wait are cancelled."""

    def __init__(self) -> None:
        self._starts: dict[Key, StartFlight] = {}
        self._stops: dict[Key, asyncio.Task[None]] = {}

    def busy(self, key: Key) -> bool:
        """Whether a start or stop is under way."""
        return key in self._starts or key in self._stops

    def starting(self, key: Key) -> bool:
        """Whether a start is under way that isn't waiting for a stop."""
        return key in self._starts and key not in self._stops

    def stopping(self, key: Key) -> bool:
        """Whether a stop is under way."""
        return key in self._stops

    async def start(self, key: Key, launch: Callable[[StartFlight], Awaitable[str]]) -> str:
        """The URL, from the start under way or a new one.

        Raises:
            StartRefused: why not.
        """
        flight = self._starts.get(key)
        if flight is None:
            flight = self._starts[key] = StartFlight()
            flight.task = asyncio.create_task(self._fly(key, flight, launch))
            flight.task.add_done_callback(partial(self._landed, key, flight))
        return await asyncio.shield(flight.outcome)

    async def stop(self, key: Key, end: Callable[[], Awaitable[None]]) -> None:
        """Call a start off, have `end` stop what there is, and wait for both.

        Raises:
            Unavailable: it could not be done, or not in time.
        """
        flight = self._starts.get(key)
        # One that waits for the stop under way is new: who stops now means that one too.
        if flight is not None:
            flight.call_off()
        task = self._stops.get(key)
        if task is None:
            task = self._stops[key] = asyncio.create_task(self._end(key, flight, end))
        await asyncio.shield(task)

    async def _fly(self, key: Key, flight: StartFlight, launch: Callable[[StartFlight], Awaitable[str]]) -> str:
        try:
            async with asyncio.timeout(START_SECONDS):
                flight.check()
                while stop := self._stops.get(key):
                    await asyncio.wait({stop})
                    flight.check()
                url = await launch(flight)
                flight.check()
                return url
        except TimeoutError:
            raise StartRefused("unavailable", "The server did not start in time. Try again.", 5) from None

    def _landed(self, key: Key, flight: StartFlight, task: asyncio.Task[str]) -> None:
        # Not in the task itself: one that is called off before its first step never runs.
        del self._starts[key]
        error = StartRefused("unavailable", STOPPED_MEANWHILE, 1) if task.cancelled() else task.exception()
        if error is None:
            flight.outcome.set_result(task.result())
            return
        flight.outcome.set_exception(error)
        # Looked at, because all who asked may have gone away, and that is no fault to report.
        flight.outcome.exception()

    async def _end(self, key: Key, flight: StartFlight | None, end: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await end()
                if flight is not None:
                    if not flight.outcome.done():
                        await asyncio.wait({flight.outcome})
                    if flight.launched:
                        # The launcher may have heard of the start after the stop.
                        await end()
        except TimeoutError:
            raise Unavailable("The instance could not be stopped in time. Try again.") from None
        finally:
            del self._stops[key]

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        while self._starts or self._stops:
            waiting: set[asyncio.Future[Any]] = {*self._stops.values()}
            waiting |= {flight.outcome for flight in self._starts.values()}
            await asyncio.wait(waiting)

    async def cancel(self) -> None:
        """End everything, because the process ends; the launcher goes on with what it was told."""
        tasks: list[asyncio.Task[Any]] = [flight.task for flight in self._starts.values() if flight.task]
        tasks += self._stops.values()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
