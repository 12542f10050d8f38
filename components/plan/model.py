"""The plan: plain frozen data that can be printed as JSON, compared in a review and tested without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from pydantic.alias_generators import to_camel

from components.plan.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A named departure from what is safe by default, with the stack's own reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NpxImage:
    """An npm package, installed when the image is built."""

    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UvxImage:
    """A Python package, installed when the image is built; `requirement` as `pip` writes it."""

    requirement: str
    command: str
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartImage:
    """The tools, with which a server installs its package when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFolderImage:
    """An image that is built from a folder of the project."""

    reference: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledImage:
    """An image that a registry has."""

    reference: str


Image = NpxImage | UvxImage | StartImage | LocalFolderImage | PulledImage


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is put into the container before it starts."""

    path: str
    content: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What a server may use at most, and what it is promised (None: nothing)."""

    memory_mib: int
    cpus: float
    processes: int
    """Processes and threads together, as the kernel counts them."""
    reserved_memory_mib: int | None = None
    reserved_cpus: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server's own network and uid; no other server of the stack has them."""

    subnet: str
    address: str
    edge_address: str
    gateway_address: str
    """The network's first address: unused on an internal network, else the host's."""
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The uid and gid that an image insists on."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What is each user's own of a single-user server. Network, address and uid the launcher gives."""

    idle_seconds: int
    """An instance that nobody has used for so long is stopped."""
    volume: str | None
    """Where the user's volume is in the instance; None: there is none."""
    user: RunAs | None
    """None: a uid of the instance's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """How the runner turns a stdio server into an HTTP one; times in seconds."""

    session: Literal["own", "shared"]
    session_idle_seconds: int
    max_sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """What is run for a server."""

    image: Image
    bridge: Bridge | None
    """None: the image speaks HTTP itself."""
    command: tuple[Text, ...]
    """npx, uvx: the stdio program with its arguments. Else: what replaces the image's entrypoint, if anything."""
    args: tuple[Text, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, Text] = field(default_factory=dict)
    user_env: Mapping[str, Text] = field(default_factory=dict)
    """Variables that each user gives; single-user servers only."""
    files: tuple[File, ...] = ()
    port: int
    path: str
    health_path: str
    startup_seconds: int
    amounts: Amounts
    where: Place | Instance
    """Its one place, or what each user's instance of it is given."""
    isolation: Literal["none", "gvisor"]
    egress: Literal["none", "unrestricted"]

    @property
    def place(self) -> Place:
        """The place of a server that all its users share; raises `TypeError` for a single-user one, which has none."""
        if not isinstance(self.where, Place):
            raise TypeError("a single-user server has no place of its own")
        return self.where


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOption:
    """One of the values that a setting allows."""

    name: str
    value: str
    description: str = ""


Usage = Literal["header", "env", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSetting:
    """What each user gives: a header, or a variable or file of their own instance."""

    key: str
    usage: Usage
    name: str
    description: str
    required: bool
    sensitive: bool
    prefix: str
    """Put before a value unless that is empty or begins with it."""
    options: tuple[SettingOption, ...] = ()
    """Empty: any value."""


Giver = Literal["catalog", "stack", "user", "nobody"]
"""Who gives a setting's value: the entry itself, the stack for everybody, each user, or nobody (it is optional)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRule:
    """Who may use a server: every user of the stack, or the users and the members of the groups listed."""

    everyone: bool
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server behind the gateway."""

    id: str
    name: str
    description: str
    icon: str
    runtime: str
    kind: Literal["multiUser", "singleUser", "remote"]
    path: str
    """Its path at the gateway."""
    upstream: Text | None
    """The URL to which the edge carries calls; None: each user's instance has one of its own."""
    reach: Literal["private", "public", "allowed"]
    headers: Mapping[str, Text] = field(default_factory=dict)
    """Sent upstream for every user."""
    given_by: Mapping[str, Giver] = field(default_factory=dict)
    """Setting's key -> who gives its value."""
    user_settings: tuple[UserSetting, ...] = ()
    user_values: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)
    """Login -> key of a user setting -> what the stack declares for that user, without the prefix."""
    access: AccessRule
    tools: tuple[str, ...] | None
    """None: all tools."""
    hosted: Hosted | None = None
    """None: the server runs elsewhere."""
    deviations: tuple[Deviation, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Someone who may sign in."""

    login: str
    display_name: str
    email: str
    admin: bool
    groups: tuple[str, ...]
    password_hash: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Lifetimes in seconds."""

    access_seconds: int
    refresh_seconds: int
    code_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How MCP clients become known."""

    dynamic: bool
    metadata_documents: bool
    metadata_domains: tuple[str, ...]
    native_redirect_uris: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one user may ask of one server."""

    request_bytes: int
    calls_per_minute: int
    answer_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The gateway: where it listens, what it is called, who may sign in."""

    public_url: str
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    listen_address: str
    listen_port: int
    subnet: str
    gateway_address: str
    edge_address: str
    control_address: str
    tokens: Tokens
    registration: Registration
    limits: Limits
    users: tuple[User, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Bounds of users' instances, and the addresses and uids that the launcher may give them."""

    total: int
    per_user: int
    starts_at_once: int
    range: str
    """In CIDR form; each instance takes a /29 of it."""
    first_uid: int
    uids: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostingPlan:
    """All that a stack comes to."""

    stack: str
    base_image: str
    node_version: str
    gateway: Gateway
    instances: Instances
    servers: tuple[Server, ...]
    """Sorted by id."""
    warnings: tuple[str, ...] = ()


def to_json(value: object) -> Any:
    """Return a plan, or a part of one, as plain JSON data with camelCase keys.

    A secret shows as `{secret: NAME}`, a user's value as `{user: KEY}`.
    """
    if isinstance(value, Text):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        kind = {"kind": type(value).__name__} if isinstance(value, Image | Place | Instance) else {}
        return kind | {to_camel(each.name): to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value
