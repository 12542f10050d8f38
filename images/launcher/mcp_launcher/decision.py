"""What to do about what was seen: pure, no engine and no clock."""

from dataclasses import dataclass
from itertools import chain

from mcp_launcher.state import EDGE_ROLE, Container, Network, State, others_on

GRACE_SECONDS = 1.5
"""How long a network keeps its edge after its last other container has gone.

Long enough that a quick replacement of the server doesn't move the edge, short enough that the network can be removed
at the first try: the Docker provider waits two seconds before it removes a network.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Join the edge to a server's network at the network's edge address."""

    edge: Container
    network: Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """Take the edge off a server's network."""

    edge: Container
    network: Network


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitProcesses:
    """Set the pids limit of a container to what its label says."""

    container: Container
    limit: int


Action = Connect | Disconnect | LimitProcesses


def decide(observed: State, now: float) -> list[Action]:
    """Everything that must be done now, disconnections first because an address is free only after them.

    Idempotent: once the actions have been carried out the same look yields none. `now` is in seconds on the clock of
    `observed.empty_since`.
    """
    edges = [container for container in observed.containers if container.role == EDGE_ROLE and container.exists]
    current = current_edge(edges)
    disconnections: list[Action] = []
    connections: list[Action] = []
    for network in observed.networks:
        attached = {edge.id: address for edge in edges if (address := edge.address_on(network)) is not None}
        others = others_on(observed, network)
        keep = bool(others) or now - observed.empty_since.get(network.id, now) < GRACE_SECONDS
        for edge in edges:
            if edge.id not in attached:
                continue
            misplaced = attached[edge.id] not in ("", network.edge_address)
            if edge is not current or not keep or misplaced:
                disconnections.append(Disconnect(edge=edge, network=network))
        if current and others and attached.get(current.id) not in ("", network.edge_address):
            connections.append(Connect(edge=current, network=network))
    return list(chain(disconnections, connections, _limits(observed)))


def current_edge(edges: list[Container]) -> Container | None:
    """The edge that belongs on the networks: one that runs before one that doesn't, a newer before an older."""
    return max(edges, key=lambda edge: (edge.state == "running", edge.created, edge.id), default=None)


def next_change(observed: State, now: float) -> float | None:
    """Seconds until the passing of time alone calls for an action (a grace runs out), or None."""
    edges = [container for container in observed.containers if container.role == EDGE_ROLE and container.exists]
    waits = [
        observed.empty_since[network.id] + GRACE_SECONDS - now
        for network in observed.networks
        if network.id in observed.empty_since and any(edge.address_on(network) is not None for edge in edges)
    ]
    return max(0.0, min(waits)) if waits else None


def _limits(observed: State) -> list[Action]:
    return [
        LimitProcesses(container=container, limit=container.processes)
        for container in observed.containers
        if container.exists
        and container.processes is not None
        and container.id in observed.pids_limits
        and observed.pids_limits[container.id] != container.processes
    ]
