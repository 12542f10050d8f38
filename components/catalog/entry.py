"""The inner model of a catalog entry: one shape for all versions of the files, plain frozen data.

What the files call `env`, `remoteConfig.headers`, `multiUserConfig.userDefinedHeaders` or `config` is one list of
settings here, each with a usage (where its value goes) and a policy (who gives the value).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Runtime(StrEnum):
    """How a server comes to be."""

    NPX = "npx"
    UVX = "uvx"
    CONTAINERIZED = "containerized"
    REMOTE = "remote"
    COMPOSITE = "composite"


class ServerType(StrEnum):
    """Who shares a running server."""

    SINGLE_USER = "singleUser"
    MULTI_USER = "multiUser"
    REMOTE = "remote"
    COMPOSITE = "composite"


class Usage(StrEnum):
    """Where a setting's value goes."""

    ENV = "env"
    """An environment variable named by the key."""
    HEADER = "header"
    """A request header named by the key."""
    FILE = "file"
    """A file; an environment variable named by the key holds its path."""
    DYNAMIC_FILE = "dynamicFile"
    """A file whose content may change without a restart."""
    INTERPOLATED = "interpolated"
    """Used inside `${KEY}` only."""


class Policy(StrEnum):
    """Who gives a setting's value."""

    FIXED = "fixed"
    """The catalog: `value` holds it."""
    OPERATOR = "operator"
    """The stack, once for everybody (`servers.<id>.values`)."""
    USER = "user"
    """Each user (`servers.<id>.userValues`), or the stack for everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an entry was read: the file as the stack names it, the line (from 1) where known."""

    file: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One of the values that a setting allows."""

    name: str
    value: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretBinding:
    """A key of a Kubernetes Secret that exists already."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value that a server needs."""

    key: str
    """Normalised: upper case; a header has hyphens, everything else underscores."""
    usage: Usage
    policy: Policy
    name: str = ""
    description: str = ""
    required: bool = False
    sensitive: bool = False
    value: str = field(default="", repr=False)
    """The catalog's own value; used as it is, without the prefix. "" unless the policy is fixed."""
    prefix: str = ""
    """Put before a value that is not the catalog's own, unless it starts with it already; an empty value stays
    empty.
    """
    options: tuple[Option, ...] = ()
    secret_binding: SecretBinding | None = None
    path: str = ""
    """The setting's place in its file, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """CPU in thousandths of a core and memory in bytes; None: the platform's default."""

    cpu_milli: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a server is promised and what it may use at most."""

    requests: Amount = Amount()
    limits: Amount = Amount()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedConfig:
    """What every server that is run here has in common."""

    args: tuple[str, ...] = ()
    """Arguments, `${KEY}` not yet replaced."""
    egress_domains: tuple[str, ...] = ()
    deny_all_egress: bool | None = None
    startup_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class NpxConfig(HostedConfig):
    """An npm package, as `npx PACKAGE ARGS...` runs it."""

    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UvxConfig(HostedConfig):
    """A Python package, as `uvx PACKAGE ARGS...` or `uvx --from PACKAGE COMMAND ARGS...` runs it."""

    package: str
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerizedConfig(HostedConfig):
    """An image that speaks streamable HTTP."""

    image: str
    port: int
    path: str
    """Starts with "/"."""
    command: str = ""
    """One element, never split by a shell; "": the image's own."""
    healthz_path: str = ""
    """A plain GET there answers 200 when the server is ready; "": an MCP `initialize` tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteConfig:
    """A server elsewhere. Exactly one of the first three is set; its headers are among the entry's settings."""

    fixed_url: str = ""
    hostname: str = ""
    """The operator gives an URL whose host is this, or below it when it starts with "*."."""
    url_template: str = ""
    static_oauth_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOverride:
    """What becomes of one tool of a component."""

    name: str
    enabled: bool = False
    override_name: str = ""
    override_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSetting:
    """What a composite says of one setting of a component: policy `prohibited`, `fixed` or `userAllowed`."""

    key: str
    policy: str = "prohibited"
    value: str = field(default="", repr=False)
    secret_binding: SecretBinding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A server inside a composite, named by a catalog entry or by a running server: exactly one of the two."""

    entry: str = ""
    server: str = ""
    id: str = ""
    name: str = ""
    tool_prefix: str = ""
    tool_overrides: tuple[ToolOverride, ...] | None = None
    """None: all tools; else only the enabled ones."""
    configuration: tuple[ComponentSetting, ...] = ()
    force_single_user: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a profile is for, e.g. type "selector" and id "*" for everybody."""

    type: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Which tools some subjects may use; grants add up."""

    name: str
    subjects: tuple[Subject, ...]
    all_components: bool = False
    components: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Component's id -> allowed tools (None: all)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeConfig:
    """Several servers that appear as one."""

    components: tuple[Component, ...]
    tool_search: bool = False
    profiles: tuple[Profile, ...] = ()


RuntimeConfig = NpxConfig | UvxConfig | ContainerizedConfig | RemoteConfig | CompositeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPreview:
    """A tool as the catalog describes it; display data only."""

    name: str
    description: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    credentials: tuple[str, ...] = ()
    enabled: bool | None = None
    unsupported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A catalog entry that is right."""

    id: str
    """`names.server_id(entry_key or name)`: the server's name in its URL, its container and its address."""
    name: str
    entry_key: str = ""
    short_description: str = ""
    description: str = ""
    icon: str = ""
    repo_url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tool_preview: tuple[ToolPreview, ...] = ()
    runtime: Runtime
    runtime_config: RuntimeConfig
    server_type: ServerType
    settings: tuple[Setting, ...] = ()
    resources: Resources = Resources()
    volume: str = ""
    """Where each user of a single-user server has a volume (`metadata.volume`); "": nowhere."""
    source: Source

    @property
    def keys(self) -> frozenset[str]:
        """The names by which a stack may speak of this entry."""
        return frozenset(filter(None, (self.id, self.entry_key)))

    def setting(self, key: str) -> Setting | None:
        """Return the setting of that key: as it is spelled, else without regard to case, hyphens and underscores."""
        exact = [setting for setting in self.settings if setting.key == key]
        loose = [setting for setting in self.settings if _loose(setting.key) == _loose(key)]
        return next(iter(exact), loose[0] if len(loose) == 1 else None)


def _loose(key: str) -> str:
    return key.upper().replace("-", "_")
