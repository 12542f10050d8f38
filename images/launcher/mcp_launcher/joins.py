"""Which networks the edge is on, for those who wait for it."""

import threading
import time
from collections.abc import Callable


class Joins:
    """Written by the loop, read by starts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._joined: frozenset[str] = frozenset()
        self._edge = False

    def saw(self, joined: frozenset[str], *, has_edge: bool) -> None:
        """Note what a look has shown."""
        with self._changed:
            self._joined, self._edge = joined, has_edge
            self._changed.notify_all()

    def connected(self, network: str) -> None:
        """Note that the edge was just connected."""
        with self._changed:
            self._joined |= {network}
            self._changed.notify_all()

    def wait(self, network: str, seconds: float, cancelled: Callable[[], bool]) -> bool:
        """Wait until the edge is on the network; True at once when no edge runs, as it joins when it comes."""
        until = time.monotonic() + seconds
        with self._changed:
            while (left := until - time.monotonic()) > 0 and not cancelled():
                if network in self._joined or not self._edge:
                    return True
                self._changed.wait(min(0.25, left))
        return False
