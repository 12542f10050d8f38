"""What is being done to an instance right now: one thing at a time for each, and never twice the same."""

import threading
from dataclasses import dataclass, field
from typing import Literal

from mcp_launcher.failure import Failure
from mcp_launcher.owned import Key
from mcp_launcher.starting import Cancel

Kind = Literal["start", "adopt", "stop", "clean"]


@dataclass(slots=True)
class Flight:
    """One operation under way; `failure` is how it ended, once `done`."""

    kind: Kind
    done: threading.Event = field(default_factory=threading.Event)
    cancel: Cancel = field(default_factory=Cancel)
    failure: Failure | None = None


class Flights:
    """The operations under way. The lock is the owner's; times are seconds, monotonic."""

    def __init__(self) -> None:
        self._under_way: dict[Key, Flight] = {}
        self._touched: dict[Key, float] = {}

    def get(self, key: Key) -> Flight | None:
        """Return what is being done to a key."""
        return self._under_way.get(key)

    def begin(self, key: Key, kind: Kind, now: float) -> Flight:
        """Begin something; nothing else may be under way."""
        if key in self._under_way:
            raise RuntimeError("an operation is under way already")
        self._under_way[key] = flight = Flight(kind)
        self._touched[key] = now
        return flight

    def end(self, key: Key, now: float) -> None:
        """End what is under way."""
        flight = self._under_way.pop(key)
        self._touched[key] = now
        flight.done.set()

    def untouched_since(self, key: Key, began: float) -> bool:
        """Whether a look that began then shows the key as it is: nothing was or is being done to it."""
        return key not in self._under_way and self._touched.get(key, float("-inf")) < began

    def forget_before(self, began: float) -> None:
        """Drop notes that no later look can need."""
        self._touched = {key: at for key, at in self._touched.items() if at >= began or key in self._under_way}

    def of_kind(self, *kinds: Kind) -> set[Key]:
        """Return the keys to which that is being done."""
        return {key for key, flight in self._under_way.items() if flight.kind in kinds}

    def all(self) -> list[Flight]:
        """Return everything under way."""
        return list(self._under_way.values())
