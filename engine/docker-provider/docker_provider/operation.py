"""What every resource type is given to work with, and what it must offer to the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from docker_provider.check import Failure
from docker_provider.docker_engine import DockerEngine
from docker_provider.errors import ProviderError
from docker_provider.fields import Fields
from docker_provider.properties import Properties


@dataclass(frozen=True, slots=True)
class Operation:
    """The surroundings of one call of the engine."""

    docker: DockerEngine
    status: Callable[[str], None]
    """Shows a short text beside the resource while it is being worked on."""
    info: Callable[[str], None]
    """Adds a lasting line to the output."""
    cancelled: threading.Event

    def pause(self, seconds: float) -> None:
        """Waits; raises `ProviderError` as soon as the run is cancelled."""
        if self.cancelled.wait(seconds):
            raise ProviderError("cancelled")

    def until(self, seconds: float, interval: float = 0.25) -> Iterator[float]:
        """Yields the seconds that are left, every `interval`, until none are."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            yield left
            self.pause(min(interval, left))


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it is in the engine: what the inputs would have to be, and its outputs."""

    id: str
    inputs: Properties
    outputs: Properties


class ResourceType(Protocol):
    """One resource type. Inputs and outputs are plain here; the server keeps secrets secret."""

    token: str
    fields: Fields
    computed: Mapping[str, str]
    """Outputs beside the inputs, each with its type in the schema's words."""
    autonamed: bool
    delete_before_replace: bool
    """Always; else only where the name is given by the program and stays the same."""

    def prepare(self, inputs: Properties, op: Operation) -> Properties:
        """Checked inputs with what only the machine can tell (a digest of files)."""
        ...

    def failures(self, inputs: Properties) -> Iterator[Failure]:
        """What is wrong beyond the shape of the inputs; parts may be unknown."""
        ...

    def create(self, inputs: Properties, op: Operation) -> tuple[str, Properties]:
        """Makes the object; gives its id and outputs."""
        ...

    def read(self, id: str, inputs: Properties, op: Operation) -> Found | None:
        """The object, None if it is gone. Without `inputs` it is being imported."""
        ...

    def update(self, id: str, old: Properties, inputs: Properties, op: Operation) -> Properties:
        """Changes the object in place; gives its outputs."""
        ...

    def planned(self, old: Properties, inputs: Properties) -> Mapping[str, Any]:
        """The outputs that are known before an update in place (`old` given) or a creation (`old` empty)."""
        ...

    def delete(self, id: str, outputs: Properties, op: Operation) -> None:
        """Removes the object; one that is gone already is no failure."""
        ...
