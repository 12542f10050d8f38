"""`docker:index/volume:Volume`: a named volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docker_provider.check import Failure
from docker_provider.container_body import labels
from docker_provider.docker_engine import STACK_LABEL, failures, found, same_stack
from docker_provider.errors import ProviderError
from docker_provider.fields import LABELS, Fields, mapping, string
from docker_provider.operation import Found, Operation
from docker_provider.properties import UNKNOWN, Properties

VOLUME: Fields = {"name": string(), "driver": string(), "driverOpts": mapping(), "labels": LABELS}
"""The input properties that are supported."""


class Volume:
    """A volume; its id is its name. Nothing about it can change in place."""

    token = "docker:index/volume:Volume"  # noqa: S105 - a type token
    fields = VOLUME
    computed: Mapping[str, str] = {"mountpoint": "string"}
    autonamed = True
    delete_before_replace = False

    def prepare(self, inputs: Properties, op: Operation) -> Properties:
        """Nothing depends on the machine."""
        return inputs

    def failures(self, inputs: Properties) -> Iterator[Failure]:
        """Nothing beyond the shape."""
        return iter(())

    def create(self, inputs: Properties, op: Operation) -> tuple[str, Properties]:
        """Makes the volume, or takes over the one that this very stack left; the engine itself would take over any."""
        name, driver = inputs["name"], inputs.get("driver", "local")
        existing = self._inspect(name, op)
        if existing is not None:
            self._check_adoptable(existing, inputs)
            op.info(f"volume {name}: taken over, with its data, from an earlier run of this stack")
            return name, _outputs(inputs, existing)
        with failures(f"volume {name}: cannot be made"):
            made = op.docker.api.create_volume(name, driver, inputs.get("driverOpts"), labels(inputs))
        return name, _outputs(inputs, made)

    def read(self, id: str, inputs: Properties, op: Operation) -> Found | None:
        """The volume by name."""
        volume = self._inspect(id, op)
        if volume is None:
            return None
        if not inputs:
            inputs = _imported(volume)
        return Found(volume["Name"], inputs, _outputs(inputs, volume))

    def update(self, id: str, old: Properties, inputs: Properties, op: Operation) -> Properties:
        """Never asked for: every change replaces."""
        raise ProviderError(f"volume {id}: cannot be changed in place")

    def planned(self, old: Properties, inputs: Properties) -> Mapping[str, Any]:
        """The mount point is the engine's to choose."""
        return {"driver": UNKNOWN, "mountpoint": UNKNOWN, **inputs}

    def delete(self, id: str, outputs: Properties, op: Operation) -> None:
        """Removes the volume and its data."""
        with failures(f"volume {id}: cannot be removed"):
            found(lambda: op.docker.api.remove_volume(id))

    def _inspect(self, name: str, op: Operation) -> dict[str, Any] | None:
        with failures(f"volume {name}"):
            return found(lambda: op.docker.api.inspect_volume(name))

    def _check_adoptable(self, existing: Mapping[str, Any], inputs: Properties) -> None:
        name = inputs["name"]
        if not same_stack(existing.get("Labels"), labels(inputs)):
            raise ProviderError(
                f"volume {name}: exists already and is not this stack's (no equal label {STACK_LABEL}), so it was "
                f"left alone; import it (`pulumi import {self.token} <resource> {name}`), remove it with its data "
                f"(`docker volume rm {name}`) or choose another name"
            )
        kept = existing["Driver"], existing.get("Options") or {}
        if kept != (inputs.get("driver", "local"), inputs.get("driverOpts", {})):
            raise ProviderError(
                f"volume {name}: was left by an earlier run of this stack with another driver or other options; "
                f"state the old ones again, or remove it with its data (`docker volume rm {name}`)"
            )


def _outputs(inputs: Properties, volume: Mapping[str, Any]) -> Properties:
    return {"driver": volume["Driver"], **inputs, "mountpoint": volume["Mountpoint"]}


def _imported(volume: Mapping[str, Any]) -> Properties:
    inputs: Properties = {
        "name": volume["Name"],
        "driver": volume["Driver"],
        "driverOpts": volume.get("Options"),
        "labels": [{"label": key, "value": text} for key, text in sorted((volume.get("Labels") or {}).items())],
    }
    return {key: value for key, value in inputs.items() if value}
