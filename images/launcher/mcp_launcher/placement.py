"""Gives instances their places and uids, so that two that start at once never get the same."""

import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network

from mcp_launcher import allocation
from mcp_launcher.allocation import Place
from mcp_launcher.inventory import Look
from mcp_launcher.owned import Key
from mcp_launcher.state import State
from mcp_launcher.templates import Template, Templates

REST_SECONDS = 60.0
"""How long a subnet that was somebody's is nobody else's: an edge may hear as late as that who is gone from there."""

_NOTHING = Look(state=State(containers=(), networks=()))


class Placement:
    """What the last look showed in use, what was given since, and what rests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._resting: dict[IPv4Network, tuple[Key | None, float]] = {}
        """Subnet -> who had it (None: not known) and until when (seconds, monotonic) it is nobody else's."""
        self._look = _NOTHING
        self._subnets: dict[Key, IPv4Network] = {}
        self._uids: dict[Key, int] = {}

    def saw(self, look: Look) -> None:
        """Note what a look has shown. A subnet that is gone since the last one rests, whoever had it."""
        with self._lock:
            for subnet in {*self._look.subnets} - {*look.subnets}:
                if subnet not in self._resting:
                    self._rest(subnet, None)
            self._look = look

    def places(self, templates: Templates, key: Key) -> Iterator[Place]:
        """Yield places to try, each reserved for the key while it is tried."""
        tried: set[IPv4Network] = set()
        while True:
            with self._lock:
                others = [subnet for other, subnet in self._subnets.items() if other != key]
                used = {*self._look.subnets, *others, *self._resting_for_others(key), *tried}
                place = next(allocation.places(templates.range, key, used), None)
                if place is None:
                    self._subnets.pop(key, None)
                    return
                self._subnets[key] = place.subnet
            tried.add(place.subnet)
            yield place

    def owner(self, templates: Templates, template: Template, key: Key) -> tuple[int, int] | None:
        """Return uid and gid for an instance: the template's, else those of the user's volume, else new ones."""
        if template.user is not None:
            return template.user
        with self._lock:
            volume = self._look.volumes.get(key)
            others = {uid for other, uid in self._uids.items() if other != key}
            found = volume.uid if volume else None
            if found is None:
                used = self._look.uids | others
                found = allocation.uid(templates.first_uid, templates.uid_count, key, used)
            if found is None:
                return None
            self._uids[key] = found
            return found, found

    def release(self, key: Key) -> None:
        """Give back what a key had."""
        with self._lock:
            subnet = self._subnets.pop(key, None)
            if subnet is not None:
                self._rest(subnet, key)
            self._uids.pop(key, None)

    def _rest(self, subnet: IPv4Network, key: Key | None) -> None:
        self._resting[subnet] = (key, self._clock() + REST_SECONDS)

    def _resting_for_others(self, key: Key) -> list[IPv4Network]:
        now = self._clock()
        self._resting = {subnet: rest for subnet, rest in self._resting.items() if rest[1] > now}
        return [subnet for subnet, (had, _) in self._resting.items() if had != key]
