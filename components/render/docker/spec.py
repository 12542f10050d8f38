"""What Docker is asked for, as plain frozen data; the deploy room turns each spec into one pulumi-docker resource.

A spec never holds a secret's value, only a `SecretRef`; the value meets the spec in deploy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from components import hardening
from components.plan.text import Json, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """An image built at deploy (`docker.Image`).

    `context` is a folder relative to the project's root, made by `write_context` when `files` is given.
    """

    name: str
    """The tag, ending in a digest of all that goes into the image: equal inputs give an equal tag."""
    context: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Relative path -> content of a context that is generated (empty when the context is a folder of the project)."""
    based_on: tuple[str, ...] = ()
    """Names of the images that the Dockerfile starts FROM and that are built here as well."""


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
    content: Json
    """A text as it is; anything else as a JSON document."""


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

    log_driver: ClassVar[str] = hardening.LOG_DRIVER
    log_options: ClassVar[Mapping[str, str]] = hardening.LOG_OPTIONS
    """The same for every container; there is no departure from it."""

    name: str
    image: str
    """Name of an `ImageSpec` of the same rendering, or a reference that is pulled."""
    pulled: bool = False
    entrypoint: tuple[str | Text, ...] = ()
    command: tuple[str | Text, ...] = ()
    env: Mapping[str, str | Text] = field(default_factory=dict)
    networks: tuple[Attachment, ...] = ()
    network_mode: str | None = None
    """"none" for a container without any network; else None."""
    network_of: str | None = None
    """The container whose network this one shares; it is replaced together with that one."""
    mounts: tuple[Mount, ...] = ()
    folders: tuple[str, ...] = ()
    """Volumes without a name, which go when the container goes."""
    folders_of: str | None = None
    """The container whose `folders` are mounted here too, read-only."""
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    uploads: tuple[Upload, ...] = ()
    """Needs `read_only` false: Docker copies nothing into a root file system that is read-only."""
    ports: tuple[Port, ...] = ()
    user: str
    read_only: bool = True
    cap_drop: tuple[str, ...] = hardening.CAPABILITIES_DROPPED
    security_opts: tuple[str, ...] = hardening.SECURITY_OPTIONS
    memory_mib: int
    reserved_memory_mib: int | None = None
    cpus: float
    cpu_shares: int | None = None
    processes: int
    """Limit of processes: RLIMIT_NPROC of the container's uid at start; the launcher sets the cgroup's pids limit."""
    dns: tuple[str, ...] = ()
    runtime: str | None = None
    """"runsc" for gVisor; else the engine's default."""
    start: bool = True
    one_shot: bool = False
    """Runs to its end while deploy waits; a status other than 0 fails the deploy with the container's log."""
    restart: str = "unless-stopped"
    health: Health | None = None
    wait_seconds: int | None = None
    """Deploy waits this long for the container to be healthy; None: it does not wait."""
    stop_seconds: int = 10
    labels: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Names of containers that must be there first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What belongs together and is changed together: one server, the gateway, the instance templates, or the gateway's
    configuration.
    """

    id: str
    kind: Literal["Gateway", "MultiUserServer", "SingleUserServer", "RemoteServer", "Templates", "Configuration"]
    """The Pulumi component."""
    pulled: tuple[str, ...] = ()
    """References of images that are pulled though no container of the part uses them."""
    networks: tuple[NetworkSpec, ...] = ()
    volumes: tuple[VolumeSpec, ...] = ()
    containers: tuple[ContainerSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerRendering:
    """The whole stack for Docker, in the order of creation: images (each after those it is based on), the gateway, a
    part for each server (sorted by id), the instance templates, and last the gateway's configuration, so that `up` ends
    when it is in force.
    """

    images: tuple[ImageSpec, ...]
    parts: tuple[Part, ...]
