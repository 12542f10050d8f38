"""A hosted server that its users share, as a network, a container and the files it is given."""

from __future__ import annotations

from collections.abc import Mapping

from components import hardening
from components.names import resource
from components.plan.model import Amounts, Hosted, HostingPlan, PulledImage, Server, StartImage
from components.plan.text import Json, Text
from components.render.docker.images import Images
from components.render.docker.labels import labels
from components.render.docker.spec import Attachment, ContainerSpec, Health, NetworkSpec, Part, Upload

CONFIG = "/etc/mcp"
SECRETS = "/run/mcp"
WORK = "/data"
RUNNER_VERSION = 1
_CERTIFICATES = {
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt",
    "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
}
_INSTALLING = {"UV_PYTHON": "/usr/bin/python3", "UV_PYTHON_DOWNLOADS": "never", "npm_config_update_notifier": "false"}
RUNTIMES = {"none": None, "gvisor": "runsc"}
_CHECK_SECONDS = 45
"""Longer than a health check waits by itself (templates/images/ready.sh)."""
_GRACE_SECONDS = 30
_DELIVERY_MIB = 16
_READY_MIB = 64
READY_SCRIPT = "await-server.py"
_SHARES_OF_A_CORE = 1024


def server_part(plan: HostingPlan, server: Server, hosted: Hosted, images: Images) -> Part:
    """Return the part of one hosted server."""
    name = resource(plan.stack, server.id)
    uploads = _uploads(plan, hosted)
    delivery = _delivery(plan, server, hosted, uploads, images) if uploads else None
    main = _container(plan, server, hosted, images, delivery)
    network = NetworkSpec(
        name=name,
        subnet=hosted.place.subnet,
        gateway=hosted.place.gateway_address,
        internal=hosted.egress == "none",
        options=hardening.INTERNAL_NETWORK_OPTIONS if hosted.egress == "none" else {},
        labels=labels(plan.stack, server.id, "server", edge_address=hosted.place.edge_address),
    )
    after = () if hosted.bridge is not None else (_ready(plan, server, hosted, images),)
    return Part(
        id=server.id,
        kind="MultiUserServer",
        networks=(network,),
        containers=(*((delivery,) if delivery else ()), main, *after),
    )


def _container(
    plan: HostingPlan, server: Server, hosted: Hosted, images: Images, delivery: ContainerSpec | None
) -> ContainerSpec:
    amounts, place, bridged = hosted.amounts, hosted.place, hosted.bridge is not None
    installing = isinstance(hosted.image, StartImage)
    deviations = ",".join(deviation.name for deviation in server.deviations)
    return ContainerSpec(
        name=resource(plan.stack, server.id),
        image=images.server(hosted.image),
        pulled=isinstance(hosted.image, PulledImage),
        entrypoint=() if bridged else hosted.command,
        command=() if bridged else hosted.args,
        env={"HOME": WORK} if bridged else {**hosted.env, **hosted.secret_env},
        networks=(Attachment(network=resource(plan.stack, server.id), address=place.address),),
        folders_of=delivery.name if delivery else None,
        tmpfs=_temporary(hosted, installing=installing) if bridged else {"/tmp": _tmp()},  # noqa: S108
        user=f"{place.uid}:{place.gid}",
        memory_mib=amounts.memory_mib,
        reserved_memory_mib=amounts.reserved_memory_mib,
        cpus=amounts.cpus,
        cpu_shares=cpu_shares(amounts),
        processes=amounts.processes,
        dns=hardening.NO_RESOLVER if hosted.egress == "none" else (),
        runtime=RUNTIMES[hosted.isolation],
        health=_health(hosted) if bridged else None,
        wait_seconds=hosted.startup_seconds + _GRACE_SECONDS if bridged else None,
        labels=labels(plan.stack, server.id, "server", processes=str(amounts.processes), deviations=deviations),
    )


def _delivery(
    plan: HostingPlan, server: Server, hosted: Hosted, uploads: tuple[Upload, ...], images: Images
) -> ContainerSpec:
    """A container that never runs and only holds files: Docker copies none into a read-only root file system."""
    folders = tuple(folder for folder in (CONFIG, SECRETS) if any(_is_below(each.path, folder) for each in uploads))
    return ContainerSpec(
        name=resource(plan.stack, f"{server.id}-delivery"),
        image=images.server(hosted.image),
        pulled=isinstance(hosted.image, PulledImage),
        command=("true",),
        network_mode="none",
        folders=folders,
        uploads=uploads,
        user=f"{hosted.place.uid}:{hosted.place.gid}",
        read_only=False,
        start=False,
        restart="no",
        memory_mib=_DELIVERY_MIB,
        cpus=hardening.CPUS,
        processes=1,
        labels=labels(plan.stack, server.id, "delivery"),
    )


def _ready(plan: HostingPlan, server: Server, hosted: Hosted, images: Images) -> ContainerSpec:
    """Waits on the server's own network until it is ready: an image of somebody else's may hold nothing to ask with."""
    script = f"/run/{READY_SCRIPT}"
    asked = (str(hosted.port), str(hosted.startup_seconds), hosted.path, hosted.health_path)
    return ContainerSpec(
        name=resource(plan.stack, f"{server.id}-ready"),
        image=images.python,
        entrypoint=("/usr/bin/python3", "-I", script),
        command=tuple(word for word in asked if word),
        network_of=resource(plan.stack, server.id),
        uploads=(Upload(path=script, content=images.script(READY_SCRIPT)),),
        user=f"{hosted.place.uid}:{hosted.place.gid}",
        read_only=False,
        one_shot=True,
        restart="no",
        memory_mib=_READY_MIB,
        cpus=hardening.CPUS,
        processes=hosted.amounts.processes,
        labels=labels(plan.stack, server.id, "ready"),
    )


def _uploads(plan: HostingPlan, hosted: Hosted) -> tuple[Upload, ...]:
    uploads = [Upload(path=file.path, content=file.content) for file in hosted.files]
    if hosted.bridge is not None:
        uploads.append(Upload(path=f"{CONFIG}/runner.json", content=_runner(plan, hosted)))
        if hosted.secret_env:
            uploads.append(Upload(path=f"{SECRETS}/secret-env.json", content=_json(hosted.secret_env)))
    return tuple(sorted(uploads, key=lambda upload: upload.path))


def _runner(plan: HostingPlan, hosted: Hosted) -> Json:
    """The runner's configuration (docs/contracts.md, section 6)."""
    bridge = hosted.bridge
    if bridge is None:
        raise TypeError("the server speaks HTTP itself")
    document: dict[str, Json] = {
        "version": RUNNER_VERSION,
        "command": list(hosted.command),
        "env": {**surroundings(hosted), **hosted.env},
        "cwd": WORK,
        "session": bridge.session,
        "sessionIdleSeconds": bridge.session_idle_seconds,
        "maxSessions": bridge.max_sessions,
        "startupSeconds": hosted.startup_seconds,
        "requestBytes": plan.gateway.limits.request_bytes,
    }
    if hosted.secret_env:
        document["secretEnvFile"] = f"{SECRETS}/secret-env.json"
    return document


def surroundings(hosted: Hosted) -> dict[str, str]:
    """What a server needs of its image's environment, of which the runner hands on nothing."""
    found = dict(_CERTIFICATES) if hosted.egress == "unrestricted" else {}
    return found | _INSTALLING if isinstance(hosted.image, StartImage) else found


def cpu_shares(amounts: Amounts) -> int | None:
    """Return a promised part of the processor as Docker weighs it; None: nothing is promised."""
    return max(2, round(amounts.reserved_cpus * _SHARES_OF_A_CORE)) if amounts.reserved_cpus else None


def _json(texts: Mapping[str, Text]) -> Json:
    return dict(texts)


def _temporary(hosted: Hosted, *, installing: bool) -> dict[str, str]:
    size, options = (
        (hardening.INSTALLING_MIB, hardening.INSTALLING_OPTIONS)
        if installing
        else (hardening.TEMPORARY_MIB, hardening.TEMPORARY_OPTIONS)
    )
    owner = f"uid={hosted.place.uid},gid={hosted.place.gid},mode=0700"
    return {"/tmp": _tmp(), WORK: f"{options},{owner},size={size}m"}  # noqa: S108


def _tmp() -> str:
    return f"{hardening.TEMPORARY_OPTIONS},mode=1777,size={hardening.TEMPORARY_MIB}m"


def _health(hosted: Hosted) -> Health:
    return Health(
        test=("CMD", "/usr/local/bin/ready", "127.0.0.1", str(hosted.port)),
        interval=1,
        timeout=_CHECK_SECONDS,
        start_period=hosted.startup_seconds,
    )


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")
