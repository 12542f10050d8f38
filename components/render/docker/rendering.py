"""plan -> `DockerRendering`."""

from __future__ import annotations

from components.plan.model import HostingPlan
from components.render.docker.gateway import configuration_part, gateway_part
from components.render.docker.images import Images, Sources
from components.render.docker.server import server_part
from components.render.docker.spec import DockerRendering, Part


def render(plan: HostingPlan, sources: Sources) -> DockerRendering:
    """Return what Docker is asked for. `sources` are the files that images are made of."""
    images = Images(plan, sources)
    gateway = gateway_part(plan, images)
    servers = tuple(
        server_part(plan, server, server.hosted, images)
        if server.hosted is not None
        else Part(id=server.id, kind="RemoteServer")
        for server in plan.servers
    )
    running = tuple(container.name for part in servers for container in part.containers if container.start)
    configuration = configuration_part(plan, images, running)
    return DockerRendering(images=images.specs, parts=(gateway, *servers, configuration))
