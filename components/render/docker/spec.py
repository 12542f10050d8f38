"""What Docker is asked for, as plain frozen data; the deploy room turns each spec into one pulumi-docker resource.

A spec never holds a secret's value, only a `SecretRef`; the value meets the spec in deploy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """The name of a stack secret: its value is the stack's config `mcp-hosting:secrets`, key `name`."""

    name: str


Text = tuple[str | SecretRef, ...]
"""A text in pieces, some of them secret; deploy joins the pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """An image built at deploy (`docker.Image`).

    `context` is a folder relative to the project's root, made by `write_context` when `files` is given.
    """

    name: str
    """The tag, ending in a digest of all that goes into the image: equal inputs give an equal tag."""
    context: str
    dockerfile: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Relative path -> content of a context that is generated (empty when the context is a folder of the project)."""
    build_args: Mapping[str, str] = field(default_factory=dict)
    based_on: tuple[str, ...] = ()
    """Names of the images that the Dockerfile starts FROM and that are built here as well."""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A bridge network (`docker.Network`). `subnet` and `gateway` in CIDR and dotted form."""

    name: str
    subnet: str
    gateway: str
    internal: bool
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A named volume (`docker.Volume`); kept by `destroy` unless the stack is purged."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A container's place on a network, with its fixed address."""

    network: str
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A named volume, or the host's socket for the launcher (`source` starts with "/"), inside a container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file copied into the container before it starts: never shown by `docker inspect`, owned by root, mode 0644."""

    path: str
    content: Text
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port."""

    internal: int
    external: int
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A health check; durations in seconds."""

    test: tuple[str, ...]
    interval: int = 5
    timeout: int = 3
    start_period: int = 60
    retries: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container (`docker.Container`), hardened unless a named deviation says otherwise."""

    name: str
    image: str
    """Name of an `ImageSpec` of the same rendering, or a reference that is pulled."""
    pulled: bool = False
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[Attachment, ...] = ()
    network_mode: str | None = None
    """"none" for a container without any network; else None."""
    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    uploads: tuple[Upload, ...] = ()
    ports: tuple[Port, ...] = ()
    user: str
    read_only: bool = True
    cap_drop: tuple[str, ...] = ("ALL",)
    security_opts: tuple[str, ...] = ("no-new-privileges:true",)
    memory_mib: int
    cpus: float
    processes: int
    """Limit of processes: RLIMIT_NPROC of the server's own uid at start, and the launcher sets the cgroup's pids limit."""
    dns: tuple[str, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None
    """"runsc" for gVisor; else the engine's default."""
    restart: str = "unless-stopped"
    health: Health | None = None
    wait_seconds: int | None = None
    """Deploy waits this long for the container to be healthy; None: it does not wait."""
    stop_seconds: int = 10
    must_run: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Names of containers that must be there first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What belongs together and is changed together: one server, or the gateway."""

    id: str
    kind: str
    """"gateway", "multiUser", "remote"; names the Pulumi component."""
    networks: tuple[NetworkSpec, ...] = ()
    volumes: tuple[VolumeSpec, ...] = ()
    images: tuple[ImageSpec, ...] = ()
    containers: tuple[ContainerSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerRendering:
    """The whole stack for Docker: images that are shared, then the gateway, then a part for each server, sorted by id."""

    images: tuple[ImageSpec, ...]
    parts: tuple[Part, ...]
