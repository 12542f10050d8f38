"""What the engine holds of users' instances: one look, and what is wrong about it. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from mcp_launcher.owned import INSTANCE, Key, Owned
from mcp_launcher.state import EDGE_ADDRESS_LABEL, EDGE_ROLE, Container, State

RUNNING = "running"
TEMPLATES_CONTAINER = "gateway-templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What there is for one key: its containers with their states, and its networks."""

    containers: tuple[tuple[Owned, Container], ...] = ()
    networks: tuple[Owned, ...] = ()

    @property
    def instance(self) -> tuple[Owned, Container] | None:
        """The instance's own container, a running one before others."""
        found = [each for each in self.containers if each[0].role == INSTANCE]
        return max(found, key=lambda each: (each[1].state == RUNNING, each[1].created), default=None)

    @property
    def runs(self) -> bool:
        """Whether the instance runs, with its network."""
        instance = self.instance
        return instance is not None and instance[1].state == RUNNING and bool(self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the engine: the stack's state for the edge's networks, and the instances' own things.

    `subnets` are those of all networks of the stack; `delivered`: the stack's delivery of templates is there.
    """

    state: State
    held: Mapping[Key, Held] = field(default_factory=dict)
    volumes: Mapping[Key, Owned] = field(default_factory=dict)
    subnets: tuple[IPv4Network, ...] = ()
    delivered: bool = True

    @property
    def uids(self) -> frozenset[int]:
        """The uids that processes or files of instances have."""
        things = [owned for held in self.held.values() for owned, _ in held.containers]
        return frozenset(each.uid for each in (*things, *self.volumes.values()) if each.uid is not None)

    @property
    def joined(self) -> frozenset[str]:
        """The networks that a running edge is on, by id."""
        edges = [each for each in self.state.containers if each.role == EDGE_ROLE and each.exists]
        return frozenset(
            network.id
            for network in self.state.networks
            if any(edge.state == RUNNING and edge.address_on(network) == network.edge_address for edge in edges)
        )

    @property
    def has_edge(self) -> bool:
        """Whether an edge runs."""
        return any(each.role == EDGE_ROLE and each.state == RUNNING for each in self.state.containers)


def held(containers: tuple[tuple[Owned, Container], ...], networks: tuple[Owned, ...]) -> dict[Key, Held]:
    """Put what belongs to one key together."""
    grouped: dict[Key, tuple[list[tuple[Owned, Container]], list[Owned]]] = defaultdict(lambda: ([], []))
    for each in containers:
        grouped[each[0].key][0].append(each)
    for network in networks:
        grouped[network.key][1].append(network)
    return {key: Held(containers=tuple(found), networks=tuple(joined)) for key, (found, joined) in grouped.items()}


def address(network: Owned) -> str | None:
    """Return the instance's address on its network: the one before the edge's."""
    try:
        return str(IPv4Address(network.labels[EDGE_ADDRESS_LABEL]) - 1)
    except (KeyError, ValueError):
        return None


def subnets(raw: Mapping[str, Any]) -> list[IPv4Network]:
    """The IPv4 subnets of one element of `GET /networks`."""
    found = []
    for config in (raw.get("IPAM") or {}).get("Config") or []:
        try:
            found.append(IPv4Network(config.get("Subnet", ""), strict=False))
        except ValueError:
            continue
    return found
