"""What the engine shows of one stack, as plain data, and the reading of it from the engine's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STACK_LABEL = "mcp-hosting.stack"
ROLE_LABEL = "mcp-hosting.role"
EDGE_ADDRESS_LABEL = "mcp-hosting.edge-address"
PROCESSES_LABEL = "mcp-hosting.processes"

EDGE_ROLE = "edge"
SERVER_ROLE = "server"
JOINED_ROLES = frozenset({SERVER_ROLE, "instance"})
"""The roles of networks that the edge must join."""

NAME_PREFIX = "mcp-"
"""How the names of a stack's containers begin (docs/contracts.md, section 7)."""

_GONE = frozenset({"removing", "dead"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of the stack.

    `addresses` maps each network that it is set to join, by id (by name before its first start), to its address there
    ("" if the engine chose none yet). `processes` is the pids limit that its label asks for.
    """

    id: str
    name: str
    role: str
    state: str
    created: int
    addresses: Mapping[str, str]
    processes: int | None = None

    @property
    def exists(self) -> bool:
        """Whether it still counts: a container that is being removed no longer does."""
        return self.state not in _GONE

    def address_on(self, network: "Network") -> str | None:
        """Its address on the network, "" when it is set to join without one, None when it isn't set to join."""
        # The name alone is not enough once there is an id: a network made anew under its old name is another one.
        return next((self.addresses[key] for key in (network.id, network.name) if key in self.addresses), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A server's or an instance's network, one that the edge must join at `edge_address`."""

    id: str
    name: str
    edge_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One look at the engine.

    `pids_limits` holds the limits in force, by container id (0: unlimited), as far as known; `empty_since` since when
    (seconds, monotonic) a network has had no other container than the edge, by network id.
    """

    containers: tuple[Container, ...]
    networks: tuple[Network, ...]
    pids_limits: Mapping[str, int] = field(default_factory=dict)
    empty_since: Mapping[str, float] = field(default_factory=dict)


def container(raw: Mapping[str, Any], stack: str) -> Container | None:
    """One element of `GET /containers/json`, or None when it isn't the stack's own."""
    labels: Mapping[str, str] = raw.get("Labels") or {}
    names = [name.lstrip("/") for name in raw.get("Names") or []]
    # Labels can come from an image, a container's name can't: an image that calls itself an edge must not be let in.
    if labels.get(STACK_LABEL) != stack or not names or not names[0].startswith(NAME_PREFIX):
        return None
    addresses: dict[str, str] = {}
    for name, endpoint in ((raw.get("NetworkSettings") or {}).get("Networks") or {}).items():
        configured = ((endpoint or {}).get("IPAMConfig") or {}).get("IPv4Address")
        network_id = (endpoint or {}).get("NetworkID")
        addresses[network_id or name] = configured or (endpoint or {}).get("IPAddress") or ""
    processes = labels.get(PROCESSES_LABEL, "")
    return Container(
        id=raw["Id"],
        name=names[0],
        role=labels.get(ROLE_LABEL, ""),
        state=str(raw.get("State", "")).lower(),
        created=int(raw.get("Created") or 0),
        addresses=addresses,
        processes=int(processes) if processes.isascii() and processes.isdecimal() and int(processes) > 0 else None,
    )


def network(raw: Mapping[str, Any], stack: str) -> Network | None:
    """One element of `GET /networks`, or None when it isn't a network of the stack's that the edge must join."""
    labels: Mapping[str, str] = raw.get("Labels") or {}
    address = labels.get(EDGE_ADDRESS_LABEL, "")
    if labels.get(STACK_LABEL) != stack or labels.get(ROLE_LABEL) not in JOINED_ROLES or not address:
        return None
    return Network(id=raw["Id"], name=raw["Name"], edge_address=address)


def others_on(state: State, network: Network) -> tuple[Container, ...]:
    """The containers other than an edge that exist, in whatever state, and are set to join the network."""
    return tuple(
        container
        for container in state.containers
        if container.role != EDGE_ROLE and container.exists and container.address_on(network) is not None
    )


def empty_networks(state: State, before: Mapping[str, float], now: float) -> dict[str, float]:
    """When each network without another container was first seen so: as in `before`, or `now` (seconds, monotonic)."""
    return {network.id: before.get(network.id, now) for network in state.networks if not others_on(state, network)}
