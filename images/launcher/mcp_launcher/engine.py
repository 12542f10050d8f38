"""A client of the Docker Engine's API over its Unix socket that can send what the allow-list names, and no more."""

import json
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode

from mcp_launcher import allowlist
from mcp_launcher.decision import Action, Connect, Disconnect
from mcp_launcher.state import (
    EDGE_ROLE,
    STACK_LABEL,
    Container,
    Network,
    State,
    container,
    network,
)

OLDEST_API = (1, 41)
REQUEST_SECONDS = 20.0
EVENT_SILENCE_SECONDS = 300.0
_EVENTS = {"type": ["container"], "event": ["create", "start", "die", "destroy"]}


class EngineError(Exception):
    """The engine can't be reached or has refused a request; the message says which and why."""


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """One stack's view of the engine."""

    def __init__(self, socket_path: str, stack: str) -> None:
        self._socket_path = socket_path
        self._stack = stack
        self._version = ""
        self._known = allowlist.Known()
        self._limits: dict[str, int] = {}

    def observe(self, *, anew: bool) -> State:
        """Look at the stack's containers and networks; `anew` reads every pids limit again, not just unknown ones."""
        filters = {"label": [f"{STACK_LABEL}={self._stack}"]}
        containers = tuple(
            found
            for raw in self._get("/containers/json", all="true", filters=json.dumps(filters))
            if (found := container(raw, self._stack))
        )
        networks = tuple(
            joined
            for raw in self._get("/networks", filters=json.dumps(filters))
            if (joined := network(raw, self._stack))
        )
        self._known = allowlist.Known(
            edges=frozenset(found.id for found in containers if found.role == EDGE_ROLE),
            server_networks=frozenset(joined.id for joined in networks),
            containers=frozenset(found.id for found in containers),
        )
        self._limits = (
            {} if anew else {key: value for key, value in self._limits.items() if key in self._known.containers}
        )
        for found in containers:
            if found.exists and found.processes is not None and found.id not in self._limits:
                self._read_limit(found)
        return State(containers=containers, networks=networks, pids_limits=dict(self._limits))

    def carry_out(self, action: Action) -> None:
        """Do what was decided. What the engine no longer has (404) counts as done: the next look shows the rest."""
        match action:
            case Connect(edge=edge, network=target):
                self._connect(edge, target)
            case Disconnect(edge=edge, network=target):
                self._post(f"/networks/{target.id}/disconnect", {"Container": edge.id, "Force": False})
            case _:
                self._post(f"/containers/{action.container.id}/update", {"PidsLimit": action.limit})
                self._limits[action.container.id] = action.limit

    def events(self) -> Iterator[None]:
        """Yield when the stream stands, then each time that a container of the stack has come, started, ended or gone.

        Ends after a long silence, so that a stream that died unnoticed is replaced.

        Raises:
            EngineError: the engine can't be reached, or closed the stream.
        """
        filters = _EVENTS | {"label": [f"{STACK_LABEL}={self._stack}"]}
        response = self._open("GET", "/events", None, EVENT_SILENCE_SECONDS, filters=json.dumps(filters))
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

    def _connect(self, edge: Container, target: Network) -> None:
        endpoint = {"IPAMConfig": {"IPv4Address": target.edge_address}}
        self._post(f"/networks/{target.id}/connect", {"Container": edge.id, "EndpointConfig": endpoint})

    def _read_limit(self, found: Container) -> None:
        raw = self._get(f"/containers/{found.id}/json")
        if raw is not None:
            self._limits[found.id] = max(0, (raw.get("HostConfig") or {}).get("PidsLimit") or 0)

    def _get(self, path: str, **query: str) -> Any:
        return self._exchange("GET", path, None, **query)

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        self._exchange("POST", path, body)

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None, **query: str) -> Any:
        response = self._open(method, path, body, REQUEST_SECONDS, **query)
        try:
            content = response.read()
        except (OSError, HTTPException) as error:
            raise EngineError(f"{method} {path}: the engine's answer broke off: {error}") from error
        finally:
            response.close()
        return json.loads(content) if content and response.status == 200 else None

    def _open(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float, **query: str
    ) -> HTTPResponse:
        allowlist.check(method, path, body, self._known)
        if not self._version:
            self._version = self._negotiate()
        target = f"/v{self._version}{path}" + (f"?{urlencode(query)}" if query else "")
        response = self._send(method, target, body, timeout)
        if response.status >= 400 and response.status != 404:
            reason = _reason(response)
            response.close()
            raise EngineError(f"{method} {path}: the engine answered {response.status}: {reason}")
        return response

    def _negotiate(self) -> str:
        allowlist.check("GET", "/_ping", None, self._known)
        response = self._send("GET", "/_ping", None, REQUEST_SECONDS)
        version = response.headers.get("Api-Version", "")
        response.close()
        numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
        if numbers < OLDEST_API:
            wanted = ".".join(map(str, OLDEST_API))
            raise EngineError(
                f"the engine speaks API {version or 'of an unknown version'}; this needs {wanted} or later"
            )
        return version

    def _send(self, method: str, target: str, body: Mapping[str, Any] | None, timeout: float) -> HTTPResponse:
        connection = _UnixConnection(self._socket_path, timeout)
        content = None if body is None else json.dumps(body).encode()
        headers = {"Host": "docker", "Connection": "close"} | ({"Content-Type": "application/json"} if content else {})
        try:
            connection.request(method, target, content, headers)
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise EngineError(f"the engine at {self._socket_path} can't be reached: {error}") from error


def _reason(response: HTTPResponse) -> str:
    try:
        return str(json.loads(response.read()).get("message", ""))[:500]
    except (OSError, HTTPException, ValueError, AttributeError):
        return response.reason
