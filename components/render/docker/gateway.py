"""The gateway as containers: edge, control side, launcher, and the delivery of templates and configuration."""

from __future__ import annotations

from components import hardening
from components.names import resource
from components.plan.model import HostingPlan
from components.render.docker.images import Images
from components.render.docker.instances import templates_document
from components.render.docker.labels import labels
from components.render.docker.spec import (
    Attachment,
    ContainerSpec,
    Health,
    Mount,
    NetworkSpec,
    Part,
    Port,
    Upload,
    VolumeSpec,
)
from components.render.gateway import gateway_document

GATEWAY = "gateway"
PORT = 8080
SOCKET = "/var/run/docker.sock"
DOCUMENT = "/etc/mcp/gateway.json"
TEMPLATES = "/etc/mcp/instances.json"
_VOLUMES = {
    "state": "/state",
    "keys": "/keys",
    "socket": "/run/gateway",
    "delivery": "/delivery",
    "audit": "/audit",
    "launcher": "/run/launcher",
    "templates": "/templates",
}
_LAUNCHER_USER = f"0:{hardening.GATEWAY_UID}"
"""Root without capabilities, for the engine's socket; the group lets the control side reach the launcher's own."""
_USER = f"{hardening.GATEWAY_UID}:{hardening.GATEWAY_UID}"
_TMP = {"/tmp": f"{hardening.TEMPORARY_OPTIONS},mode=1777,size=16m"}  # noqa: S108
_PYTHON = "/opt/gateway/bin/python"
_PROCESSES = 256
_CONTROL_WAIT_SECONDS = 60
_DRAIN_SECONDS = 25
"""A little more than the edge gives calls to end."""
_REMOVAL_SECONDS = 90
"""At the stack's end the launcher removes every user's instance before it ends itself."""
_LAUNCHER_PROCESSES = 128


def gateway_part(plan: HostingPlan, images: Images) -> Part:
    """Return the parts of the gateway that stay when the catalog changes."""
    gateway = plan.gateway
    network = NetworkSpec(
        name=_name(plan),
        subnet=gateway.subnet,
        gateway=gateway.gateway_address,
        internal=False,
        labels=labels(plan.stack, GATEWAY, "gateway"),
    )
    volumes = tuple(
        VolumeSpec(name=_name(plan, volume), labels=labels(plan.stack, GATEWAY, volume)) for volume in _VOLUMES
    )
    return Part(
        id=GATEWAY,
        kind="Gateway",
        networks=(network,),
        volumes=volumes,
        containers=(_control(plan, images), _edge(plan, images), _launcher(plan, images)),
    )


def templates_part(plan: HostingPlan, images: Images) -> Part:
    """Return the delivery of the instance templates, also when there are none: the launcher stops what has none.

    The launcher takes the absence of this container at its own end as the end of the stack, so it goes first.
    """
    delivery = _delivery(
        plan,
        "templates",
        image=images.launcher,
        upload=Upload(path=TEMPLATES, content=templates_document(plan, images)),
        user=_LAUNCHER_USER,
        processes=_LAUNCHER_PROCESSES,
        after=(_name(plan, "launcher"),),
    )
    return Part(id="templates", kind="Templates", containers=(delivery,))


def configuration_part(plan: HostingPlan, images: Images, servers: tuple[str, ...]) -> Part:
    """Return the delivery of the gateway document, made after the containers of all servers."""
    delivery = _delivery(
        plan,
        "delivery",
        image=images.gateway,
        upload=Upload(path=DOCUMENT, content=gateway_document(plan)),
        user=_USER,
        processes=_PROCESSES,
        after=(
            _name(plan, "control"),
            _name(plan, "edge"),
            _name(plan, "launcher"),
            _name(plan, "templates"),
            *servers,
        ),
    )
    return Part(id="configuration", kind="Configuration", containers=(delivery,))


def _delivery(
    plan: HostingPlan, volume: str, *, image: str, upload: Upload, user: str, processes: int, after: tuple[str, ...]
) -> ContainerSpec:
    """Checks one document, writes it to the volume of its own name, and ends."""
    return ContainerSpec(
        name=_name(plan, volume),
        image=image,
        command=("deliver",),
        network_mode="none",
        mounts=(_mount(plan, volume),),
        uploads=(upload,),
        tmpfs=_TMP,
        user=user,
        read_only=False,
        one_shot=True,
        restart="no",
        memory_mib=128,
        cpus=hardening.CPUS,
        processes=processes,
        labels=labels(plan.stack, GATEWAY, "delivery"),
        after=after,
    )


def _control(plan: HostingPlan, images: Images) -> ContainerSpec:
    return ContainerSpec(
        name=_name(plan, "control"),
        image=images.gateway,
        command=("control",),
        networks=(Attachment(network=_name(plan), address=plan.gateway.control_address),),
        mounts=(
            *(_mount(plan, volume) for volume in ("state", "keys", "socket", "delivery")),
            _mount(plan, "launcher", read_only=True),
        ),
        tmpfs=_TMP,
        user=_USER,
        memory_mib=512,
        cpus=hardening.CPUS,
        processes=_PROCESSES,
        health=Health(
            test=("CMD", _PYTHON, "-I", "-m", "mcp_gateway", "health", "control"), interval=10, start_period=30
        ),
        labels=labels(plan.stack, GATEWAY, "control", processes=str(_PROCESSES)),
    )


def _edge(plan: HostingPlan, images: Images) -> ContainerSpec:
    """It listens on the gateway's own network only: a server can't reach it over the network that they share."""
    gateway = plan.gateway
    return ContainerSpec(
        name=_name(plan, "edge"),
        image=images.gateway,
        command=("edge", "--listen", f"{gateway.edge_address}:{PORT}"),
        networks=(Attachment(network=_name(plan), address=gateway.edge_address),),
        mounts=(_mount(plan, "socket", read_only=True), _mount(plan, "audit")),
        ports=(Port(internal=PORT, external=gateway.listen_port, address=gateway.listen_address),),
        tmpfs=_TMP,
        user=_USER,
        memory_mib=512,
        cpus=2 * hardening.CPUS,
        processes=_PROCESSES,
        health=Health(test=("CMD", "/usr/local/bin/ready", gateway.edge_address, str(PORT)), interval=1, timeout=45),
        stop_seconds=_DRAIN_SECONDS,
        labels=labels(plan.stack, GATEWAY, "edge", processes=str(_PROCESSES)),
        after=(_name(plan, "control"),),
    )


def _launcher(plan: HostingPlan, images: Images) -> ContainerSpec:
    return ContainerSpec(
        name=_name(plan, "launcher"),
        image=images.launcher,
        command=("--stack", plan.stack),
        network_mode="none",
        mounts=(
            Mount(source=SOCKET, target=SOCKET),
            _mount(plan, "launcher"),
            _mount(plan, "templates", read_only=True),
        ),
        tmpfs=_TMP,
        user=_LAUNCHER_USER,
        memory_mib=128,
        cpus=hardening.CPUS,
        processes=_LAUNCHER_PROCESSES,
        health=Health(test=("CMD", "/usr/bin/python3", "-I", "-m", "mcp_launcher", "health"), interval=30),
        stop_seconds=_REMOVAL_SECONDS,
        labels=labels(plan.stack, GATEWAY, "launcher", processes=str(_LAUNCHER_PROCESSES)),
        after=(_name(plan, "edge"),),
    )


def _mount(plan: HostingPlan, volume: str, *, read_only: bool = False) -> Mount:
    return Mount(source=_name(plan, volume), target=_VOLUMES[volume], read_only=read_only)


def _name(plan: HostingPlan, part: str = "") -> str:
    return resource(plan.stack, f"{GATEWAY}-{part}" if part else GATEWAY)
