"""What is read out of instances: logs, data, what they use. Nothing is changed but for the keeper of an export."""

import contextlib
import secrets
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from mcp_launcher import bodies
from mcp_launcher.failure import Failure
from mcp_launcher.instance_engine import InstanceEngine
from mcp_launcher.instances import Instances
from mcp_launcher.owned import Key
from mcp_launcher.transport import EngineError

_INACTIVE = ("total_inactive_file", "inactive_file")
"""Cache that the kernel gives back at once: of cgroup v1, of v2. Docker's own `stats` leaves it out too."""


class Reading:
    """Reads at the engine for the interface. Any thread."""

    def __init__(self, stack: str, engine: InstanceEngine, instances: Instances) -> None:
        self._engine = engine
        self._stack = stack
        self._instances = instances

    def log(self, key: Key, count: int, *, follow: bool) -> socket.socket | None:
        """Return a connection with an instance's log as frames; None when there is no container of it."""
        container = self._instances.container(key)
        if container is None:
            return None
        try:
            return self._engine.log(container, count, follow=follow)
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    @contextlib.contextmanager
    def data(self, key: Key) -> Iterator[socket.socket]:
        """Give a connection with the content of a user's volume as a tar.

        Raises:
            Failure: there is no such volume, or the engine can't give it.
        """
        templates = self._instances.templates()
        volume = next(iter(self._engine.volumes(key)), None)
        if volume is None:
            raise Failure("bad-request", "there is no data")
        body = bodies.keeper(self._stack, templates.ready_image, key, volume.name, read_only=True)
        name = f"{volume.name.removesuffix('-data')}-export-{secrets.token_hex(4)}"
        keeper = self._instances.export(name, body)
        try:
            with self._engine.fetch(keeper) as stream:
                yield stream
        finally:
            self._instances.end_export(keeper)

    def usage(self) -> list[dict[str, Any]]:
        """Return what each running instance uses; one that ends meanwhile is left out."""
        running = sorted(self._instances.running().items())
        measured = self._engine.measure([container for _, container in running])
        return [
            {"server": key.server, "subject": key.subject, "memoryBytes": memory, "processes": processes}
            for (key, _), raw in zip(running, measured, strict=True)
            if (memory := memory_bytes(raw)) is not None and (processes := process_count(raw)) is not None
        ]


def memory_bytes(raw: Mapping[str, Any]) -> int | None:
    """Return the memory that is in use, of one answer of `ContainerStats`."""
    memory = raw.get("memory_stats") or {}
    used, details = memory.get("usage"), memory.get("stats") or {}
    if not isinstance(used, int):
        return None
    inactive = next((details[name] for name in _INACTIVE if isinstance(details.get(name), int)), 0)
    return int(max(0, used - inactive))


def process_count(raw: Mapping[str, Any]) -> int | None:
    """Return the number of processes and threads, of one answer of `ContainerStats`."""
    found = (raw.get("pids_stats") or {}).get("current")
    return found if isinstance(found, int) else None
