"""Which instances there are, as far as the launcher told, and the table of those that the edge may use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from mcp_gateway.control.long_poll import Latest
from mcp_gateway.instances.view import RUNNING, Key, Launched, Listing, place, without_shared_addresses


@dataclass
class Roster:
    """`admits` says whether an instance's user may have it now. Times are monotonic seconds.

    What the launcher answered to a start or stop is newer than a list that was asked for before: such a list doesn't
    overrule it. `withdrawn` are instances that are about to end: the edge is not told of them.
    """

    admits: Callable[[Key], bool]
    instances: dict[Key, Launched] = field(default_factory=dict)
    data: frozenset[Key] = frozenset()
    known: bool = False
    """Whether the launcher has told."""
    judged: bool = False
    """Whether it is known who may have one: `admits` knows the users of a document."""
    table: Latest = field(default_factory=Latest)
    """What the edge is told."""
    withdrawn: set[Key] = field(default_factory=set)
    told: dict[Key, float] = field(default_factory=dict)
    urls: dict[Key, str] = field(default_factory=dict)

    def take(self, listing: Listing, asked: float) -> bool:
        """Take in a list that was asked for then; False when it is to be asked for anew, because it may be too old."""
        newer = {key for key, at in self.told.items() if at >= asked}
        taken = {key: each for key, each in listing.instances.items() if key not in newer}
        kept = {key: each for key, each in self.instances.items() if key in newer}
        agrees = all(self.instances.get(key) == listing.instances.get(key) for key in newer)
        self.instances = without_shared_addresses(taken | kept)
        self.data = listing.data
        self.told = {key: at for key, at in self.told.items() if key in newer}
        self.known = True
        self.publish()
        return agrees

    def learn(self, instance: Launched, now: float) -> None:
        """Know of an instance that a start answered. Its address is nobody else's any more."""
        others = {
            key: each
            for key, each in self.instances.items()
            if each.state != RUNNING or place(each.url) != place(instance.url)
        }
        self.instances = {**others, instance.key: instance}
        self.told[instance.key] = now
        self.withdrawn.discard(instance.key)
        self.publish()

    def forget(self, key: Key, now: float) -> None:
        """Know that an instance is gone, or that nothing is known of it until the next list."""
        self.instances.pop(key, None)
        self.told[key] = now
        self.withdrawn.discard(key)
        self.publish()

    def withdraw(self, key: Key) -> None:
        """Don't tell of an instance any more."""
        self.withdrawn.add(key)
        self.publish()

    def restore(self, key: Key) -> None:
        """Tell of an instance again that was withdrawn."""
        self.withdrawn.discard(key)
        self.publish()

    def publish(self) -> None:
        """Make the table anew, and wake those who wait for it when it differs."""
        if not (self.known and self.judged):
            # Edges go on with what they have: an empty table would take every instance from them.
            return
        self.urls = {
            key: each.url
            for key, each in sorted(self.instances.items())
            if each.state == RUNNING and key not in self.withdrawn and self.admits(key)
        }
        instances = [{"server": key[0], "subject": key[1], "url": url} for key, url in self.urls.items()]
        version = hashlib.sha256(json.dumps(instances).encode()).hexdigest()
        if version != self.table.version:
            self.table.publish(version, json.dumps({"version": version, "instances": instances}).encode())
