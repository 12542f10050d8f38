"""The components that a stack shows: the gateway, each server, and the documents that bind them."""

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
        for reference in part.pulled:
            made.pull(reference)
        for container in part.containers:
            made.container(container, self)
        self.register_outputs({"containers": [container.name for container in part.containers]})


class Gateway(_PartComponent):
    """Edge, control side and launcher, with their network and volumes."""

    kind = "Gateway"


class MultiUserServer(_PartComponent):
    """One server that is run here for all its users, on a network of its own."""

    kind = "MultiUserServer"


class SingleUserServer(_PartComponent):
    """A server of which each user has an instance, which the launcher starts when that user first calls it.

    So nothing runs for it here, and no resource is a user's. Its image is built or pulled by `up` all the same, even
    if nobody uses it yet: a user who calls waits for a process to start and not for a build or a download; what can't
    be built or pulled fails `up`, in front of the operator; and the launcher, which knows images by id alone, needs
    neither a registry nor the right to fetch anything.
    """

    kind = "SingleUserServer"


class RemoteServer(_PartComponent):
    """A server that runs elsewhere; it is only in the gateway's configuration."""

    kind = "RemoteServer"


class Templates(_PartComponent):
    """The delivery of the templates from which the launcher starts users' instances."""

    kind = "Templates"


class Configuration(_PartComponent):
    """The delivery of the gateway's configuration."""

    kind = "Configuration"


COMPONENTS: dict[str, type[_PartComponent]] = {
    each.kind: each for each in (Gateway, MultiUserServer, SingleUserServer, RemoteServer, Templates, Configuration)
}
