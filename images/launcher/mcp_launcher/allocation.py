"""Where an instance's network lies and which uid it has: pure. The same one each time, unless another has it."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mcp_launcher.owned import Key

BLOCK = 8
"""Addresses of a /29."""


@dataclass(frozen=True, slots=True)
class Place:
    """A /29 of its own: its first address is left unused, the second is the instance's, the third the edge's."""

    subnet: IPv4Network

    @property
    def gateway(self) -> str:
        """The address that nothing has on an internal network."""
        return str(self.subnet[1])

    @property
    def address(self) -> str:
        """The instance's address."""
        return str(self.subnet[2])

    @property
    def edge_address(self) -> str:
        """The edge's address."""
        return str(self.subnet[3])


def places(whole: IPv4Network, key: Key, used: Collection[IPv4Network]) -> Iterator[Place]:
    """Yield every free place of the range, the one that the key prefers first, then the next ones in turn.

    `used` are networks of whatever size; a place that meets one is passed over.
    """
    count = whole.num_addresses // BLOCK
    first = int(whole.network_address)
    taken: set[int] = set()
    for network in used:
        if network.overlaps(whole):
            start = max(0, (int(network.network_address) - first) // BLOCK)
            end = min(count - 1, (int(network.broadcast_address) - first) // BLOCK)
            taken.update(range(start, end + 1))
    preferred = number(key, "network") % count
    for step in range(count):
        slot = (preferred + step) % count
        if slot not in taken:
            yield Place(IPv4Network((IPv4Address(first + slot * BLOCK), 29)))


def uid(first: int, count: int, key: Key, used: Collection[int]) -> int | None:
    """Return a uid that nobody else has, or None when all are taken."""
    preferred = number(key, "uid") % count
    for step in range(count):
        found = first + (preferred + step) % count
        if found not in used:
            return found
    return None


def number(key: Key, purpose: str) -> int:
    """Return a number that comes from the key alone."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{key.server}/{key.subject}".encode()).digest()[:8], "big")
