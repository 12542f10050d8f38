"""What all threads share about instances, behind one lock: entries, operations under way, templates, limits, turns."""

import threading
import time
from collections.abc import Callable
from typing import Any

from mcp_launcher.backing_off import BackOff
from mcp_launcher.failure import Failure
from mcp_launcher.flights import Flight, Flights, Kind
from mcp_launcher.instance_engine import InstanceEngine
from mcp_launcher.log import write
from mcp_launcher.owned import INSTANCE, Key, Owned
from mcp_launcher.placement import Placement
from mcp_launcher.table import Entry
from mcp_launcher.templates import Template, Templates
from mcp_launcher.transport import EngineError


class Board:
    """Shared by the rooms that start, stop and keep up. Whoever reads or writes its fields holds `changed`."""

    def __init__(self, engine: InstanceEngine, placement: Placement, look_again: Callable[[], None]) -> None:
        self.changed = threading.Condition()
        self.templates: Templates | None = None
        self.entries: dict[Key, Entry] = {}
        self.flights = Flights()
        self.back_off = BackOff()
        self.exports: set[str] = set()
        """Names of containers that exports use: let alone by everything else."""
        self.looked = False
        self.leaving = False
        self._starting = 0
        self._engine = engine
        self._placement = placement
        self._look_again = look_again

    def check_open(self) -> None:
        """Raise `Failure` while nothing can be asked for yet, or no longer."""
        if self.leaving:
            raise Failure("engine", "the launcher is leaving", retry_seconds=5)
        if not self.looked:
            raise Failure("engine", "the engine wasn't reached yet", retry_seconds=1)

    def template(self, server: str) -> tuple[Templates, Template]:
        """Return a server's template, with the document that it is from."""
        template = self.templates.servers.get(server) if self.templates else None
        if self.templates is None or template is None:
            raise Failure("unknown-server", f"there is no template of a server {server}; run `pulumi up`")
        return self.templates, template

    def begin(self, key: Key, kind: Kind, entry: Entry | None) -> Flight:
        """Begin an operation; nothing else may be under way. `entry` is what is shown meanwhile."""
        flight = self.flights.begin(key, kind, time.monotonic())
        if entry is not None:
            self.entries[key] = entry
        self.changed.notify_all()
        return flight

    def land(self, key: Key, entry: Entry | None) -> None:
        """End an operation with what there is now. Takes the lock itself."""
        with self.changed:
            if entry is not None:
                self.entries[key] = entry
            else:
                self.entries.pop(key, None)
            if entry is None or entry.state != "running":
                self._placement.release(key)
            self.flights.end(key, time.monotonic())
            self.changed.notify_all()
        self._look_again()

    def cancel(self, flight: Flight) -> None:
        """Have a start end as soon as it can. Takes the lock itself."""
        with self.changed:
            flight.cancel.set()
            self.changed.notify_all()

    def take_turn(self, most: int, flight: Flight) -> None:
        """Wait until fewer than `most` starts are under way, and be one of them. Takes the lock itself."""
        with self.changed:
            self.changed.wait_for(lambda: self._starting < most or flight.cancel())
            flight.cancel.check()
            self._starting += 1

    def give_turn(self) -> None:
        """Be no longer one of the starts under way. Takes the lock itself."""
        with self.changed:
            self._starting -= 1
            self.changed.notify_all()

    def container(self, key: Key) -> Owned | None:
        """Return an instance's container, also of one that is starting. Needs no lock."""
        return next((each for each in self._engine.containers(key) if each.role == INSTANCE), None)

    def clear(self, key: Key, *, graceful: bool, exports: bool = False) -> None:
        """Remove an instance's containers and network, and with `exports` also what reads its volume. Needs no lock.

        Raises:
            EngineError: something may be left.
        """
        for container in self._engine.containers(key):
            if container.name in self.exports and not exports:
                continue
            if graceful and container.role == INSTANCE:
                self._engine.stop(container)
            self._engine.remove(container)
        for network in self._engine.networks(key):
            self._engine.remove_network(network)

    def clear_quietly(self, key: Key) -> None:
        """Remove at once, and note in the log what couldn't be: the next look finds it again. Needs no lock."""
        try:
            self.clear(key, graceful=False)
        except EngineError as error:
            note("error", "not cleaned up", key, reason=str(error))


def note(level: str, message: str, key: Key, **fields: Any) -> None:
    """Write a line of the launcher's log about an instance."""
    write(level, message, server=key.server, subject=key.subject, **fields)
