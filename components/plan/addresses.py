"""Each server's own subnet and uid, in the lower half of the stack's range, and what instances may use of the upper
half. A server keeps both when others come and go.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence

from components.config.stack import InstancesConfig
from components.errors import Problem, Problems
from components.hardening import FIRST_INSTANCE_UID, FIRST_SERVER_UID, INSTANCE_UIDS, SERVER_UIDS
from components.plan.model import Instances, Place

BLOCK = 8
"""Addresses of a /29."""
MAX_SLOTS = 8192


def slots(servers: Sequence[str], count: int) -> dict[str, int]:
    """Give each id a number from 1 to `count` - 1 (0 is the gateway's).

    The number comes from the id alone, and from the ids before it only where two would meet: a server that is added at
    the end never moves another one.
    """
    taken: dict[int, str] = {}
    for server in servers:
        slot = _number(server) % (count - 1)
        while slot in taken:
            slot = (slot + 1) % (count - 1)
        taken[slot] = server
    return {server: slot + 1 for slot, server in taken.items()}


def places(servers: Sequence[str], *, stack: str, subnets: str) -> dict[str, Place]:
    """Return each server's place; raises `Problems` when the range is too small."""
    count = capacity(subnets)
    if len(servers) > count - 1:
        raise Problems(
            [
                Problem(
                    path="network.subnets",
                    value=subnets,
                    wrong=f"has room for {count - 1} servers in its lower half, and there are {len(servers)}",
                    remedy="choose a larger range",
                )
            ]
        )
    # Counted by the kernel for the whole machine: stacks on one engine should not share uids either.
    shift = _number(f"stack/{stack}")
    found = {}
    for server, slot in slots(servers, count).items():
        uid = FIRST_SERVER_UID + (shift + slot) % SERVER_UIDS
        subnet, first, second, third = block(subnets, slot)
        found[server] = Place(
            subnet=subnet, gateway_address=first, address=second, edge_address=third, uid=uid, gid=uid
        )
    return found


def instances(config: InstancesConfig, *, subnets: str, needed: bool) -> Instances:
    """Return the bounds of users' instances; raises `Problems` when they are `needed` and don't fit into the range."""
    _, upper = _halves(subnets)
    room = upper.num_addresses // BLOCK
    if needed and config.total > room:
        raise Problems(
            [
                Problem(
                    path="network.subnets",
                    value=subnets,
                    wrong=f"has room for {room} instances in its upper half, and instances.total is {config.total}",
                    remedy=f"choose a larger range, or set instances.total to {room} or less",
                )
            ]
        )
    return Instances(
        total=config.total,
        per_user=min(config.per_user, config.total),
        starts_at_once=min(config.starts_at_once, config.total),
        range=str(upper),
        first_uid=FIRST_INSTANCE_UID,
        uids=INSTANCE_UIDS,
    )


def capacity(subnets: str) -> int:
    """Return how many blocks the lower half of a range has, the gateway's among them."""
    lower, _ = _halves(subnets)
    return min(lower.num_addresses // BLOCK, MAX_SLOTS)


def block(subnets: str, slot: int) -> tuple[str, str, str, str]:
    """Return a block of the range: in CIDR form, and its first three addresses."""
    start = int(ipaddress.IPv4Network(subnets).network_address) + slot * BLOCK
    first, second, third = (str(ipaddress.IPv4Address(start + offset)) for offset in (1, 2, 3))
    return f"{ipaddress.IPv4Address(start)}/29", first, second, third


def _halves(subnets: str) -> tuple[ipaddress.IPv4Network, ipaddress.IPv4Network]:
    lower, upper = ipaddress.IPv4Network(subnets).subnets()
    return lower, upper


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
