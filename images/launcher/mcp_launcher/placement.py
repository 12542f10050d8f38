"""Gives instances their places and uids, so that two that start at once never get the same."""

import threading
from collections.abc import Iterator
from ipaddress import IPv4Network

from mcp_launcher import allocation
from mcp_launcher.allocation import Place
from mcp_launcher.inventory import Look
from mcp_launcher.owned import Key
from mcp_launcher.state import State
from mcp_launcher.templates import Template, Templates

_NOTHING = Look(state=State(containers=(), networks=()))


class Placement:
    """What the last look showed in use, and what was given since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._look = _NOTHING
        self._subnets: dict[Key, IPv4Network] = {}
        self._uids: dict[Key, int] = {}

    def saw(self, look: Look) -> None:
        """Note what a look has shown."""
        with self._lock:
            self._look = look

    def places(self, templates: Templates, key: Key) -> Iterator[Place]:
        """Yield places to try, each reserved for the key while it is tried."""
        tried: set[IPv4Network] = set()
        while True:
            with self._lock:
                others = [subnet for other, subnet in self._subnets.items() if other != key]
                used = {*self._look.subnets, *others, *tried}
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
            self._subnets.pop(key, None)
            self._uids.pop(key, None)
