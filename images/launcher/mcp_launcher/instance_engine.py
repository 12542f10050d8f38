"""What is done to instances at the engine, one step each. Any thread."""

import io
import json
import socket
import tarfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mcp_launcher.allowlist import ATTACHED, FETCHED, MEASURED, REMOVED, Request
from mcp_launcher.frames import lines
from mcp_launcher.owned import INSTANCE, Key, Owned, owned
from mcp_launcher.transport import REQUEST_SECONDS, EngineError, Transport

STOP_SECONDS = 10
_REMOVAL_TRIES = 25
_REMOVAL_PAUSE_SECONDS = 0.2
LAST_LINES = 40
_MEASURED_AT_ONCE = 64


class SubnetTaken(EngineError):
    """Another network has these addresses."""


class InstanceEngine:
    """Creates, reads and removes what belongs to instances."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create_network(self, body: Mapping[str, Any]) -> Owned:
        """Create a network.

        Raises:
            SubnetTaken: its addresses are another network's.
        """
        try:
            made = self._post("/networks/create", body)
        except EngineError as error:
            if "overlap" in str(error).lower():
                raise SubnetTaken(str(error), error.status) from error
            raise
        return self._made("networks", made["Id"], body["Name"], body["Labels"])

    def create_volume(self, body: Mapping[str, Any]) -> Owned:
        """Create a volume, or take the one that is there, which must be this very user's.

        Its labels may hold another uid than the body's: the one that its files have.
        """
        made = self._post("/volumes/create", body)
        found = owned(made["Name"], made["Name"], made.get("Labels"), self._transport.stack)
        wanted = owned(body["Name"], body["Name"], body["Labels"], self._transport.stack)
        if found is None or wanted is None or found.key != wanted.key or made.get("Driver") != "local":
            raise EngineError(f"the volume {body['Name']} is there and is not this user's; remove or rename it")
        self._transport.made("volumes", found)
        return found

    def create_container(self, name: str, body: Mapping[str, Any]) -> Owned:
        """Create a container; it doesn't run yet."""
        request = Request(method="POST", path="/containers/create", query={"name": name}, body=body)
        made = self._transport.exchange(request)
        if made is None:
            raise EngineError(f"the image {body['Image']} is not on the engine; run `pulumi up` again", 404)
        return self._made("owned", made["Id"], name, body["Labels"])

    def start(self, target: Owned) -> None:
        """Start a container."""
        self._act("POST", f"/containers/{target.id}/start")

    def stop(self, target: Owned) -> None:
        """Ask a container to end, and end it after ten seconds."""
        self._act("POST", f"/containers/{target.id}/stop", {"t": str(STOP_SECONDS)}, STOP_SECONDS + REQUEST_SECONDS)

    def attach(self, target: Owned) -> socket.socket:
        """Return the connection to a container's input and outputs."""
        return self._transport.stream(
            Request(method="POST", path=f"/containers/{target.id}/attach", query=ATTACHED), attach=True
        )

    def wait(self, target: Owned) -> socket.socket:
        """Return a connection on which the container's status comes, as JSON, when it has ended."""
        return self._transport.stream(Request(method="POST", path=f"/containers/{target.id}/wait"))

    def log(self, target: Owned, count: int, *, follow: bool) -> socket.socket:
        """Return a connection with the container's last lines, as frames, and with `follow` what comes after."""
        query = {"stdout": "1", "stderr": "1", "tail": str(count), "follow": "1" if follow else "0"}
        return self._transport.stream(Request(method="GET", path=f"/containers/{target.id}/logs", query=query))

    def last_lines(self, target: Owned) -> list[str]:
        """Return the last lines of a container's log, or none where there is none to be had."""
        try:
            with self.log(target, LAST_LINES, follow=False) as stream:
                return list(lines(stream.recv))
        except (EngineError, OSError):
            return []

    def runs(self, target: Owned) -> bool:
        """Whether a container runs."""
        raw = self._transport.get(f"/containers/{target.id}/json") or {}
        return (raw.get("State") or {}).get("Running") is True

    def ending(self, target: Owned) -> str:
        """Say how a container ended."""
        raw = self._transport.get(f"/containers/{target.id}/json") or {}
        state = raw.get("State") or {}
        if state.get("OOMKilled"):
            return "it used more memory than it may"
        if error := str(state.get("Error") or ""):
            return f"the engine couldn't run it: {error[:300]}"
        return f"it ended with status {state.get('ExitCode', 'unknown')}"

    def measure(self, targets: Sequence[Owned]) -> list[Mapping[str, Any]]:
        """Return the statistics of each container, empty for one that has none.

        The engine takes them once a second, and lets each request wait for the next time: so all are sent first.
        """
        found: list[Mapping[str, Any]] = []
        for start in range(0, len(targets), _MEASURED_AT_ONCE):
            requests = [
                Request(method="GET", path=f"/containers/{target.id}/stats", query=MEASURED)
                for target in targets[start : start + _MEASURED_AT_ONCE]
            ]
            connections = [self._transport.send(request) for request in requests]
            found += [self._measured(each, request) for each, request in zip(connections, requests, strict=True)]
        return found

    def _measured(self, connection: socket.socket, request: Request) -> Mapping[str, Any]:
        try:
            self._transport.answered(connection, request)
            with connection:
                found = json.loads(everything(connection))
        except (EngineError, OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def put(self, target: Owned, path: str, content: bytes) -> None:
        """Copy a tar's content into a container that never runs."""
        request = Request(method="PUT", path=f"/containers/{target.id}/archive", query={"path": path}, content=content)
        self._transport.exchange(request)

    def fetch(self, target: Owned) -> socket.socket:
        """Return a connection with the content of the volume of a keeper, as a tar."""
        request = Request(method="GET", path=f"/containers/{target.id}/archive", query={"path": FETCHED})
        return self._transport.stream(request)

    def remove(self, target: Owned) -> None:
        """Remove a container, running or not, with its volumes that have no name."""
        if target.id not in self._transport.known.owned:
            # Removed by someone else since it was listed.
            return
        for attempt in range(_REMOVAL_TRIES):
            try:
                self._act("DELETE", f"/containers/{target.id}", REMOVED)
                break
            except EngineError as error:
                # Someone else removes it already (409): then wait until that is done.
                if error.status != 409 or attempt == _REMOVAL_TRIES - 1:
                    raise
                time.sleep(_REMOVAL_PAUSE_SECONDS)
        self._transport.removed("owned", target.id)

    def remove_network(self, target: Owned) -> None:
        """Take the edge off a network and remove it."""
        for attempt in range(_REMOVAL_TRIES):
            try:
                self._disconnect_edges(target)
                self._act("DELETE", f"/networks/{target.id}")
                break
            except EngineError as error:
                if error.status not in (403, 409, 500) or attempt == _REMOVAL_TRIES - 1:
                    raise
                time.sleep(_REMOVAL_PAUSE_SECONDS)
        self._transport.removed("networks", target.id)

    def remove_volume(self, target: Owned) -> None:
        """Remove a volume and what is in it."""
        self._act("DELETE", f"/volumes/{target.id}")
        self._transport.removed("volumes", target.id)

    def containers(self, key: Key) -> list[Owned]:
        """Return the key's containers, the instance first."""
        found = [each for each in self._transport.known.owned.values() if each.key == key]
        return sorted(found, key=lambda each: (each.role != INSTANCE, each.name))

    def networks(self, key: Key) -> list[Owned]:
        """Return the key's networks."""
        return [each for each in self._transport.known.networks.values() if each.key == key]

    def volumes(self, key: Key) -> list[Owned]:
        """Return the key's volume, if there is one."""
        return [each for each in self._transport.known.volumes.values() if each.key == key]

    def volume_keys(self) -> set[Key]:
        """Return the keys that have a volume."""
        return {each.key for each in self._transport.known.volumes.values()}

    def keys(self) -> set[Key]:
        """Return the keys that have a container or a network."""
        known = self._transport.known
        return {each.key for each in (*known.owned.values(), *known.networks.values())}

    def _disconnect_edges(self, target: Owned) -> None:
        raw = self._transport.get(f"/networks/{target.id}") or {}
        for edge in self._transport.known.edges & (raw.get("Containers") or {}).keys():
            self._post(f"/networks/{target.id}/disconnect", {"Container": edge, "Force": False})

    def _made(self, kind: str, identity: str, name: str, marks: Mapping[str, str]) -> Owned:
        found = owned(identity, name, marks, self._transport.stack)
        if found is None:
            raise EngineError(f"{name} was made with names that the launcher doesn't know again")
        self._transport.made(kind, found)
        return found

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._transport.exchange(Request(method="POST", path=path, body=body))

    def _act(
        self, method: str, path: str, query: Mapping[str, str] | None = None, timeout: float = REQUEST_SECONDS
    ) -> None:
        self._transport.exchange(Request(method=method, path=path, query=query or {}), timeout)


def status_of(stream: socket.socket) -> int:
    """Return the status that `InstanceEngine.wait` waited for."""
    try:
        return int(json.loads(everything(stream))["StatusCode"])
    except (ValueError, KeyError, TypeError):
        return -1


def everything(stream: socket.socket) -> bytes:
    """Read a stream to its end."""
    content = b""
    while part := stream.recv(65_536):
        content += part
    return content


def archive(entries: Sequence[tuple[str, bytes | None]], owner: tuple[int, int]) -> bytes:
    """Return a tar with folders (mode 0700, content None) and files (mode 0400) of that uid and gid."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.uid, member.gid = owner
            member.mode = 0o700 if content is None else 0o400
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return made.getvalue()
