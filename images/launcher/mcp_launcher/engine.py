"""One stack's view of the engine: looking, joining the edge to networks, process limits, events."""

import json
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any

from mcp_launcher.allowlist import Request
from mcp_launcher.decision import Action, Connect, Disconnect
from mcp_launcher.inventory import TEMPLATES_CONTAINER, Look, held, subnets
from mcp_launcher.known import Known
from mcp_launcher.owned import Owned, owned_container, owned_network, owned_volume
from mcp_launcher.state import EDGE_ROLE, STACK_LABEL, Container, Network, State, container, network
from mcp_launcher.transport import EngineError, Transport

EVENT_SILENCE_SECONDS = 300.0
_EVENTS = {"type": ["container"], "event": ["create", "start", "die", "destroy"]}

__all__ = ["Engine", "EngineError"]


class Engine:
    """What the loop does at the engine. One thread at a time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._limits: dict[str, int] = {}

    def observe(self, *, anew: bool) -> Look:
        """Look at the stack's containers, networks and volumes; `anew` reads every pids limit again, not just unknown
        ones.

        Two requests serve everything that the loop decides; volumes are a third.
        """
        stack, filters = self._transport.stack, json.dumps({"label": [f"{STACK_LABEL}={self._transport.stack}"]})
        raw_containers = self._transport.get("/containers/json", all="true", filters=filters) or []
        raw_networks = self._transport.get("/networks", filters=filters) or []
        raw_volumes = (self._transport.get("/volumes", filters=filters) or {}).get("Volumes") or []
        pairs = [(raw, found) for raw in raw_containers if (found := container(raw, stack))]
        containers = tuple(found for _, found in pairs)
        networks = tuple(joined for raw in raw_networks if (joined := network(raw, stack)))
        own = tuple((owner, seen) for raw, seen in pairs if (owner := owned_container(raw, stack)))
        own_networks = tuple(mine for raw in raw_networks if (mine := owned_network(raw, stack)))
        volumes = tuple(data for raw in raw_volumes if (data := owned_volume(raw, stack)))
        self._note(containers, networks, own, own_networks, volumes)
        self._read_limits(containers, anew=anew)
        return Look(
            state=State(containers=containers, networks=networks, pids_limits=dict(self._limits)),
            held=held(own, own_networks),
            volumes={found.key: found for found in volumes},
            subnets=tuple(subnet for raw in raw_networks for subnet in subnets(raw)),
            delivered=any(found.name.endswith(f"-{TEMPLATES_CONTAINER}") for found in containers),
        )

    def _note(
        self,
        containers: tuple[Container, ...],
        networks: tuple[Network, ...],
        own: tuple[tuple[Owned, Container], ...],
        own_networks: tuple[Owned, ...],
        volumes: tuple[Owned, ...],
    ) -> None:
        self._transport.saw(
            Known(
                edges=frozenset(found.id for found in containers if found.role == EDGE_ROLE),
                server_networks=frozenset(joined.id for joined in networks),
                containers=frozenset(found.id for found in containers),
                owned={found.id: found for found, _ in own},
                networks={found.id: found for found in own_networks},
                volumes={found.id: found for found in volumes},
            )
        )

    def _read_limits(self, containers: tuple[Container, ...], *, anew: bool) -> None:
        there = {found.id for found in containers}
        self._limits = {} if anew else {key: value for key, value in self._limits.items() if key in there}
        for found in containers:
            if found.exists and found.processes is not None and found.id not in self._limits:
                raw = self._transport.get(f"/containers/{found.id}/json")
                if raw is not None:
                    self._limits[found.id] = max(0, (raw.get("HostConfig") or {}).get("PidsLimit") or 0)

    def carry_out(self, action: Action) -> None:
        """Do what was decided. What the engine no longer has (404) counts as done: the next look shows the rest."""
        match action:
            case Connect(edge=edge, network=target):
                endpoint = {"IPAMConfig": {"IPv4Address": target.edge_address}}
                self._post(f"/networks/{target.id}/connect", {"Container": edge.id, "EndpointConfig": endpoint})
            case Disconnect(edge=edge, network=target):
                self._disconnect(edge.id, target.id)
            case _:
                self._post(f"/containers/{action.container.id}/update", {"PidsLimit": action.limit})
                self._limits[action.container.id] = action.limit

    def events(self) -> Iterator[None]:
        """Yield when the stream stands, then each time that a container of the stack has come, started, ended or gone.

        Ends after a long silence, so that a stream that died unnoticed is replaced.

        Raises:
            EngineError: the engine can't be reached, or closed the stream.
        """
        filters = _EVENTS | {"label": [f"{STACK_LABEL}={self._transport.stack}"]}
        request = Request(method="GET", path="/events", query={"filters": json.dumps(filters)})
        response = self._transport.open(request, EVENT_SILENCE_SECONDS)
        try:
            yield
            while response.read1():
                yield
        except TimeoutError:
            return
        except (OSError, HTTPException) as error:
            raise EngineError(f"the engine's events broke off: {error}") from error
        finally:
            response.close()
        raise EngineError("the engine closed its events")

    def _disconnect(self, edge: str, target: str) -> None:
        try:
            self._post(f"/networks/{target}/disconnect", {"Container": edge, "Force": False})
        except EngineError as error:
            # Whoever removes an instance's network takes the edge off it as well.
            if "is not connected" not in str(error):
                raise

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        self._transport.exchange(Request(method="POST", path=path, body=body))
