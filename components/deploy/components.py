"""The components that a stack shows: the gateway, each server, and the configuration that binds them."""

from __future__ import annotations

import pulumi

from components.deploy.resources import Resources
from components.render.docker.spec import Part


class _PartComponent(pulumi.ComponentResource):
    kind = ""

    def __init__(self, part: Part, made: Resources) -> None:
        super().__init__(f"mcp-hosting:docker:{self.kind}", part.id)
        for network in part.networks:
            made.network(network, self)
        for volume in part.volumes:
            made.volume(volume, self)
        for container in part.containers:
            made.container(container, self)
        self.register_outputs({"containers": [container.name for container in part.containers]})


class Gateway(_PartComponent):
    """Edge, control side and launcher, with their network and volumes."""

    kind = "Gateway"


class MultiUserServer(_PartComponent):
    """One server that is run here for all its users, on a network of its own."""

    kind = "MultiUserServer"


class RemoteServer(_PartComponent):
    """A server that runs elsewhere; it is only in the gateway's configuration."""

    kind = "RemoteServer"


class Configuration(_PartComponent):
    """The delivery of the gateway's configuration."""

    kind = "Configuration"


COMPONENTS: dict[str, type[_PartComponent]] = {
    each.kind: each for each in (Gateway, MultiUserServer, RemoteServer, Configuration)
}
