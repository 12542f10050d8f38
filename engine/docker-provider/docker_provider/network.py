"""`docker:index/network:Network`: a network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from docker_provider.check import Failure
from docker_provider.container_body import labels
from docker_provider.docker_engine import STACK_LABEL, failures, found, same_stack
from docker_provider.errors import ProviderError
from docker_provider.fields import LABELS, Fields, boolean, mapping, several, string
from docker_provider.operation import Found, Operation
from docker_provider.properties import UNKNOWN, Properties

REMOVAL_SECONDS = 30
"""As long as the real plugin waits for the last endpoints to go."""

_IPAM = {"subnet": "Subnet", "gateway": "Gateway", "ipRange": "IPRange", "auxAddress": "AuxiliaryAddresses"}

NETWORK: Fields = {
    "name": string(),
    "driver": string(),
    "internal": boolean(),
    "attachable": boolean(),
    "ipv6": boolean(),
    "ipamConfigs": several(
        {"subnet": string(), "gateway": string(), "ipRange": string(), "auxAddress": mapping()}, unordered=True
    ),
    "ipamDriver": string(default="default"),
    "ipamOptions": mapping(),
    "options": mapping(),
    "labels": LABELS,
}
"""The input properties that are supported."""


class Network:
    """A network; its id is the engine's. Nothing about it can change in place."""

    token = "docker:index/network:Network"  # noqa: S105 - a type token
    fields = NETWORK
    computed: Mapping[str, str] = {"scope": "string"}
    autonamed = True
    delete_before_replace = False

    def prepare(self, inputs: Properties, op: Operation) -> Properties:
        """Nothing depends on the machine."""
        return inputs

    def failures(self, inputs: Properties) -> Iterator[Failure]:
        """Subnets that are none."""
        for i, config in enumerate(inputs.get("ipamConfigs", [])):
            subnet = config.get("subnet") if isinstance(config, dict) else None
            if isinstance(subnet, str):
                try:
                    ipaddress.ip_network(subnet)
                except ValueError as error:
                    yield Failure(f"ipamConfigs[{i}].subnet", f"is not a network in CIDR form: {error}")

    def create(self, inputs: Properties, op: Operation) -> tuple[str, Properties]:
        """Makes the network, or takes over an equal one that this very stack left behind."""
        name = inputs["name"]
        existing = self._inspect(name, op)
        if existing is not None and existing["Name"] == name:
            if self._adoptable(existing, inputs):
                op.info(f"network {name}: taken over from an interrupted run of this stack")
                return existing["Id"], _outputs(inputs, existing)
            op.info(f"network {name}: replacing the one that an interrupted run left behind")
            self.delete(existing["Id"], {"name": name}, op)
        try:
            with failures(f"network {name}: cannot be made"):
                id = op.docker.api.create_network(
                    name,
                    driver=inputs.get("driver", "bridge"),
                    options=inputs.get("options"),
                    ipam=_ipam(inputs),
                    check_duplicate=True,
                    internal=inputs.get("internal", False),
                    labels=labels(inputs) or None,
                    enable_ipv6=inputs.get("ipv6", False),
                    attachable=inputs.get("attachable"),
                )["Id"]
        except ProviderError as error:
            raise self._explained(error, inputs, op) from error
        network = self._inspect(id, op)
        if network is None:
            raise ProviderError(f"network {name}: was made but is gone again")
        return id, _outputs(inputs, network)

    def read(self, id: str, inputs: Properties, op: Operation) -> Found | None:
        """The network by id or name; which containers are on it is not its concern."""
        network = self._inspect(id, op)
        if network is None:
            return None
        if not inputs:
            inputs = _imported(network)
        return Found(network["Id"], inputs, _outputs(inputs, network))

    def update(self, id: str, old: Properties, inputs: Properties, op: Operation) -> Properties:
        """Never asked for: every change replaces."""
        raise ProviderError(f"network {inputs['name']}: cannot be changed in place")

    def planned(self, old: Properties, inputs: Properties) -> Mapping[str, Any]:
        """What the program leaves open is the engine's to choose."""
        open_ends = ("driver", "internal", "ipamConfigs", "options", "scope")
        return {**dict.fromkeys(open_ends, UNKNOWN), **inputs}

    def delete(self, id: str, outputs: Properties, op: Operation) -> None:
        """Removes the network; waits while containers are still leaving it."""
        name = outputs.get("name", id)
        for _ in op.until(REMOVAL_SECONDS, interval=0.5):
            try:
                with failures(f"network {name}: cannot be removed"):
                    found(lambda: op.docker.api.remove_network(id))
                return
            except ProviderError as error:
                if "has active endpoints" not in str(error):
                    raise
        network = self._inspect(id, op) or {}
        containers = sorted(item["Name"] for item in (network.get("Containers") or {}).values())
        raise ProviderError(
            f"network {name}: cannot be removed, containers are still on it after {REMOVAL_SECONDS} seconds: "
            f"{', '.join(containers)}; disconnect them (`docker network disconnect -f {name} <container>`)"
        )

    def _inspect(self, name: str, op: Operation) -> dict[str, Any] | None:
        with failures(f"network {name}"):
            return found(lambda: op.docker.api.inspect_network(name))

    def _adoptable(self, existing: Mapping[str, Any], inputs: Properties) -> bool:
        name = inputs["name"]
        if not same_stack(existing.get("Labels"), labels(inputs)):
            raise ProviderError(
                f"network {name}: exists already and is not this stack's (no equal label {STACK_LABEL}), so it was "
                f"left alone; remove it (`docker network rm {name}`), import it "
                f"(`pulumi import {self.token} <resource> {name}`) "
                "or choose another name"
            )
        return equal(inputs, existing)

    def _explained(self, error: ProviderError, inputs: Properties, op: Operation) -> ProviderError:
        text = str(error)
        if "overlaps" in text:
            others = [other for other in op.docker.api.networks() if overlapping(inputs, other)]
            who = ", ".join(sorted(other["Name"] for other in others)) or "a route of this machine"
            subnets = ", ".join(config.get("subnet", "") for config in inputs.get("ipamConfigs", []))
            return ProviderError(
                f"network {inputs['name']}: its subnet {subnets} overlaps with {who}; remove that network "
                "(`docker network prune` removes unused ones) or choose another range"
            )
        if "non-overlapping" in text or "fully subnetted" in text:
            return ProviderError(
                f"network {inputs['name']}: Docker has no free address range left for it; state a subnet in "
                "ipamConfigs, or remove unused networks (`docker network prune`)"
            )
        return error


def equal(inputs: Mapping[str, Any], network: Mapping[str, Any]) -> bool:
    """Whether the network is as the inputs ask, in all that they state. Pure."""
    stated = [_ipam_body(config) for config in inputs.get("ipamConfigs", [])]
    given = [{key: value for key, value in config.items() if value} for config in network["IPAM"].get("Config") or []]
    fits = all(any(config.items() <= other.items() for other in given) for config in stated)
    options: Mapping[str, str] = network.get("Options") or {}
    return (
        network["Driver"] == inputs.get("driver", "bridge")
        and bool(network.get("Internal")) == inputs.get("internal", False)
        and bool(network.get("Attachable")) == inputs.get("attachable", False)
        and bool(network.get("EnableIPv6")) == inputs.get("ipv6", False)
        and fits
        and all(options.get(key) == value for key, value in inputs.get("options", {}).items())
        and (network.get("Labels") or {}) == labels(inputs)
    )


def overlapping(inputs: Mapping[str, Any], network: Mapping[str, Any]) -> bool:
    """Whether one of the wanted subnets overlaps with one of the network's. Pure."""
    wanted = [ipaddress.ip_network(c["subnet"]) for c in inputs.get("ipamConfigs", []) if "subnet" in c]
    taken = [ipaddress.ip_network(c["Subnet"]) for c in network["IPAM"].get("Config") or [] if c.get("Subnet")]
    return any(a.version == b.version and a.overlaps(b) for a in wanted for b in taken)


def _ipam(inputs: Mapping[str, Any]) -> dict[str, Any]:
    configs = [_ipam_body(config) for config in inputs.get("ipamConfigs", [])]
    return {"Driver": inputs.get("ipamDriver", "default"), "Config": configs, "Options": inputs.get("ipamOptions", {})}


def _ipam_body(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config[key] for key, name in _IPAM.items() if config.get(key)}


def _outputs(inputs: Properties, network: Mapping[str, Any]) -> Properties:
    return {**_imported(network), "internal": bool(network.get("Internal")), **inputs, "scope": network["Scope"]}


def _imported(network: Mapping[str, Any]) -> Properties:
    inputs: Properties = {
        "name": network["Name"],
        "driver": network["Driver"],
        "internal": network.get("Internal"),
        "attachable": network.get("Attachable"),
        "ipv6": network.get("EnableIPv6"),
        "ipamConfigs": [
            {key: config[name] for key, name in _IPAM.items() if config.get(name)}
            for config in network["IPAM"].get("Config") or []
        ],
        "options": network.get("Options"),
        "labels": [{"label": key, "value": text} for key, text in sorted((network.get("Labels") or {}).items())],
    }
    return {key: value for key, value in inputs.items() if value}
