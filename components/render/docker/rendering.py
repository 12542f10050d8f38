"""plan -> `DockerRendering`."""

from __future__ import annotations

from components.plan.model import HostingPlan, Instance, Server
from components.render.docker.gateway import configuration_part, gateway_part, templates_part
from components.render.docker.images import Images, Sources
from components.render.docker.instances import single_user_part
from components.render.docker.server import server_part
from components.render.docker.spec import DockerRendering, Part


def render(plan: HostingPlan, sources: Sources) -> DockerRendering:
    """Return what Docker is asked for. `sources` are the files that images are made of."""
    images = Images(plan, sources)
    gateway = gateway_part(plan, images)
    servers = tuple(_part(plan, server, images) for server in plan.servers)
    running = tuple(container.name for part in servers for container in part.containers if container.start)
    templates = templates_part(plan, images)
    configuration = configuration_part(plan, images, running)
    return DockerRendering(images=images.specs, parts=(gateway, *servers, templates, configuration))


def _part(plan: HostingPlan, server: Server, images: Images) -> Part:
    run = server.hosted
    if run is None:
        return Part(id=server.id, kind="RemoteServer")
    if isinstance(run.where, Instance):
        return single_user_part(server, run, images)
    return server_part(plan, server, run, images)
