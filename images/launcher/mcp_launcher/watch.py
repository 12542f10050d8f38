"""The loop: look when the engine reports something, when a grace runs out, and every so often regardless."""

import threading
import time
from collections.abc import Callable

from mcp_launcher import health
from mcp_launcher.decision import Action, Connect, Disconnect, decide, next_change
from mcp_launcher.engine import Engine, EngineError
from mcp_launcher.joins import Joins
from mcp_launcher.log import write
from mcp_launcher.state import State, empty_networks
from mcp_launcher.upkeep import Upkeep

RESYNC_SECONDS = 30.0
FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 10.0
SETTLE_SECONDS = 0.5
"""After a report it is looked once more: the engine tells of a container's end before its list shows it."""


class Wake:
    """A flag that one thread raises and another waits for: many reports while it works make one more look."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask for a look."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for a report, at most so long; whether there was one."""
        reported = self._event.wait(seconds)
        self._event.clear()
        return reported


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10))


def follow(engine: Engine, wake: Wake) -> None:
    """Turn the engine's events into wakes, for ever; a stream that breaks is opened again, more slowly each time."""
    failures = 0
    while True:
        try:
            for _ in engine.events():
                failures = 0
                wake.set()
        except EngineError as error:
            failures += 1
            write("warning", "events broke off", reason=str(error))
            time.sleep(back_off(failures))


class Launcher:
    """Holds what outlives one look: since when networks have been empty, and when limits were last read."""

    def __init__(
        self, engine: Engine, upkeep: Upkeep, joins: Joins, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._upkeep = upkeep
        self._joins = joins
        self._clock = clock
        self._empty_since: dict[str, float] = {}
        self._read_anew_at = 0.0

    def sync(self) -> tuple[State, bool]:
        """Look once and act; the look, and whether every action succeeded.

        Raises:
            EngineError: the engine couldn't be asked at all.
        """
        now = self._clock()
        anew = now >= self._read_anew_at
        look = self._engine.observe(anew=anew)
        seen = look.state
        if anew:
            self._read_anew_at = now + RESYNC_SECONDS
        self._joins.saw(look.joined, has_edge=look.has_edge)
        self._upkeep.saw(look, now)
        self._empty_since = empty_networks(seen, self._empty_since, now)
        state = State(
            containers=seen.containers,
            networks=seen.networks,
            pids_limits=seen.pids_limits,
            empty_since=self._empty_since,
        )
        succeeded = [self._carry_out(action) for action in decide(state, now)]
        return state, all(succeeded)

    def _carry_out(self, action: Action) -> bool:
        try:
            self._engine.carry_out(action)
        except EngineError as error:
            write("error", "action failed", **_describe(action), reason=str(error))
            return False
        if isinstance(action, Connect):
            self._joins.connected(action.network.id)
        write("info", "done", **_describe(action))
        return True


def run(engine: Engine, wake: Wake, upkeep: Upkeep, joins: Joins) -> None:
    """Keep the stack as it should be, for ever."""
    launcher = Launcher(engine, upkeep, joins)
    failures, reported = 0, True
    while True:
        wait = longest = SETTLE_SECONDS if reported else RESYNC_SECONDS
        try:
            state, succeeded = launcher.sync()
        except EngineError as error:
            write("error", "look failed", reason=str(error))
            succeeded = False
        else:
            grace = next_change(state, time.monotonic())
            wait = longest if grace is None else min(longest, grace + 0.01)
        failures = 0 if succeeded else failures + 1
        if succeeded:
            health.record()
        else:
            wait = back_off(failures)
        reported = wake.wait(wait)


def _describe(action: Action) -> dict[str, object]:
    match action:
        case Connect(edge=edge, network=network):
            return {
                "action": "connect",
                "container": edge.name,
                "network": network.name,
                "address": network.edge_address,
            }
        case Disconnect(edge=edge, network=network):
            return {"action": "disconnect", "container": edge.name, "network": network.name}
        case _:
            return {"action": "limit processes", "container": action.container.name, "limit": action.limit}
