"""What a stack may say under the config namespace `mcp-hosting:`, typed and strict: an unknown field is refused.

The models hold names of secrets only. The values are in the Pulumi secrets `mcp-hosting:secrets` (name -> text) and
`mcp-hosting:passwords` (login -> text), which nothing here reads.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from components.catalog.document import ResourcesDocument
from components.catalog.volume import path_wrong
from components.config.native_redirect_uris import native_redirect_uri

NAMESPACE = "mcp-hosting"
SECRET_KEYS = ("secrets", "passwords")
"""Config keys whose values are secret: never part of the models."""


class Model(BaseModel):
    """Strict, frozen, camelCase in the file."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "text"
    return "object" if isinstance(value, (dict, BaseModel)) else None


_BY_KIND = Discriminator(_kind)


class Secret(Model):
    """A reference to a secret of the stack: `{secret: NAME}`."""

    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
    """The name under `mcp-hosting:secrets`."""


Value = Annotated[Annotated[str, Tag("text")] | Annotated[Secret, Tag("object")], _BY_KIND]
"""A plain text, or a secret by name."""

Texts = Annotated[tuple[str, ...], Strict(False)]
Login = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._@-]*[a-z0-9])?$", max_length=64)]
Group = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
SettingKey = Annotated[str, Field(min_length=1)]


class Reason(Model):
    """Why the stack departs from what is safe by default; the plan shows it."""

    reason: Annotated[str, Field(min_length=8, max_length=500)]
    """In words that a reviewer understands."""


class User(Model):
    """Someone who signs in; the first password is in `mcp-hosting:passwords`."""

    login: Login
    """The name to sign in with."""
    display_name: str = ""
    email: str = ""
    admin: bool = False
    """An administrator of the stack."""
    groups: Annotated[tuple[Group, ...], Strict(False)] = ()


class SomeUsers(Model):
    """Access for the users and the members of the groups that are listed, nobody else."""

    users: Annotated[tuple[Login, ...], Strict(False)] = ()
    groups: Annotated[tuple[Group, ...], Strict(False)] = ()


Access = Annotated[Annotated[Literal["everyone"], Tag("text")] | Annotated[SomeUsers, Tag("object")], _BY_KIND]
"""Who may use a server: `everyone` (each user of the stack), or lists of users and groups."""


class UnrestrictedEgress(Model):
    """The server may reach the whole internet."""

    unrestricted: Literal[True]
    reason: Annotated[str, Field(min_length=8, max_length=500)]


Egress = Annotated[Annotated[Literal["none"], Tag("text")] | Annotated[UnrestrictedEgress, Tag("object")], _BY_KIND]
"""Where a server may connect to: `none`, or `{unrestricted: true, reason: ...}`."""


def _volume_path(path: str) -> str:
    if (wrong := path_wrong(path)) is not None:
        raise ValueError(wrong)
    return path


class Volume(Model):
    """A volume for each user of a single-user server. It outlives the instance."""

    path: Annotated[str, AfterValidator(_volume_path)]
    """Where it is in the instance: absolute, outside the system's own folders."""


def _volume_form(value: Any) -> Any:
    if isinstance(value, str) and value != "none":
        raise ValueError("is neither none nor a mapping such as {path: /data}")
    return value


UserVolume = Annotated[
    Annotated[Literal["none"], Tag("text")] | Annotated[Volume, Tag("object")], _BY_KIND, BeforeValidator(_volume_form)
]
"""`none`, or where each user's volume is: `{path: /data}`."""

IdleSeconds = Annotated[int, Field(ge=5, le=604_800)]


class Tools(Model):
    """Which of a server's tools can be seen and called."""

    allowed: Annotated[tuple[str, ...] | None, Strict(False)] = None
    """Absent: all tools; a list: only these."""


class ServerConfig(Model):
    """What the stack says of one server of the catalog."""

    values: dict[SettingKey, Value] = Field(default_factory=dict)
    """Setting's key -> value for everybody."""
    user_values: dict[Login, dict[SettingKey, Value]] = Field(default_factory=dict)
    """Login -> setting's key -> that user's value: a header, and any setting of a single-user server."""
    url: str | None = None
    """The URL of a remote server whose entry gives a `hostname` only."""
    egress: Egress | None = None
    """Absent: the stack's."""
    access: Access | None = None
    """Absent: the stack's."""
    tools: Tools = Tools()
    """Which tools can be seen and called."""
    resources: ResourcesDocument | None = None
    """Stands above the entry's, field by field."""
    session: Literal["own", "shared"] = "own"
    """npx and uvx: a process for each MCP session, or one for all (of the instance, on a single-user server)."""
    session_idle_seconds: Annotated[int, Field(ge=10, le=86_400)] = 900
    """A session without traffic ends after this many seconds."""
    max_sessions: Annotated[int, Field(ge=1, le=10_000)] = 100
    """More are refused until one ends."""
    idle_seconds: IdleSeconds | None = None
    """Single-user: an instance that nobody has used for so long is stopped. Absent: the stack's."""
    volume: UserVolume | None = None
    """Single-user: `{path: /data}` gives each user a volume there, `none` gives none. Absent: the entry's wish."""
    isolation: Literal["none", "gvisor"] = "none"
    """`gvisor`: the server runs under runsc, which the engine must have."""
    user: Annotated[str | None, Field(pattern=r"^[1-9][0-9]{0,9}(:[1-9][0-9]{0,9})?$")] = None
    """containerized: the numeric `uid` or `uid:gid` that the image needs; never root."""
    constraints: Texts = ()
    """uvx: version constraints of the package's dependencies, as `pip` writes them (`mcp<2`)."""
    install_at_start: Reason | None = None
    """npx and uvx: install the package when the server starts instead of when its image is built."""
    secrets_in_environment: Reason | None = None
    """containerized: hand sensitive settings over in the environment, where `docker inspect` shows them."""
    secrets_in_arguments: Reason | None = None
    """Put sensitive settings into the command line, where the process list shows them."""
    allow_private_upstream: Reason | None = None
    """remote: the URL may be of a private network, and may be plain http."""

    @field_validator("constraints")
    @classmethod
    def _requirement(cls, constraints: tuple[str, ...]) -> tuple[str, ...]:
        for text in constraints:
            if not _CONSTRAINT.fullmatch(text):
                raise ValueError(f"{text!r} is not a package's name with a version range such as mcp<2")
        return constraints


_CONSTRAINT = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\s*(===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+(\s*,\s*(===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+)*"
)


class Catalog(Model):
    """Where the servers come from."""

    include: Texts = ()
    """Files and folders, relative to the project's root (docs/reference/catalog.md)."""
    entries: Annotated[tuple[dict[str, Any], ...], Strict(False)] = ()
    """Entries in place, as a file would hold them."""


class Listen(Model):
    """Where the gateway listens on the host."""

    address: str = "127.0.0.1"
    """An address of the host. Elsewhere than on loopback, `publicUrl` is https."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8765
    """The TCP port."""

    @field_validator("address")
    @classmethod
    def _address(cls, address: str) -> str:
        ipaddress.ip_address(address)
        return address


class TokenConfig(Model):
    """How long tokens live, in seconds."""

    access_seconds: Annotated[int, Field(ge=30, le=3600)] = 300
    refresh_seconds: Annotated[int, Field(ge=300, le=31_536_000)] = 2_592_000
    code_seconds: Annotated[int, Field(ge=10, le=600)] = 60


class Registration(Model):
    """How MCP clients make themselves known."""

    dynamic: bool = True
    """Dynamic client registration (RFC 7591)."""
    metadata_documents: bool = True
    """Client ID metadata documents."""
    metadata_domains: Texts = ()
    """The documents' hosts; empty: any public host."""
    native_redirect_uris: Annotated[tuple[Annotated[str, AfterValidator(native_redirect_uri)], ...], Strict(False)] = ()
    """Whole redirect URIs of desktop apps with a scheme of their own (`cursor://…`): docs/connect.md."""


class Limits(Model):
    """What one user may ask of one server."""

    request_bytes: Annotated[int, Field(ge=1024, le=67_108_864)] = 4_194_304
    calls_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    answer_seconds: Annotated[int, Field(ge=1, le=3600)] = 300


class GatewayConfig(Model):
    """The gateway's own settings."""

    tokens: TokenConfig = TokenConfig()
    registration: Registration = Registration()
    limits: Limits = Limits()


class LocalImage(Model):
    """An image that the deploy builds from a folder of the project."""

    image: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
    """The reference that containerized entries use."""
    context: Annotated[str, Field(min_length=1)]
    """The folder with the Dockerfile, relative to the project's root."""

    @field_validator("context")
    @classmethod
    def _inside(cls, context: str) -> str:
        if context.startswith("/") or ".." in context.split("/"):
            raise ValueError("the folder is outside the project")
        return context


class Images(Model):
    """What images are made of."""

    local: Annotated[tuple[LocalImage, ...], Strict(False)] = ()
    base: Annotated[str, Field(min_length=1)] = "debian:bookworm-slim"
    node: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = "24.21.0"
    """The version of Node.js in images of npx servers."""


class InstancesConfig(Model):
    """The instances of users of single-user servers: how many there may be at once, and for how long."""

    total: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Running instances in the stack; a start beyond is refused."""
    per_user: Annotated[int, Field(ge=1, le=1_000)] = 20
    """Running instances of one user; a start beyond is refused. Absent: 20, or `total` where that is less."""
    starts_at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Starts under way; others wait. Absent: 4, or `total` where that is less."""
    idle_seconds: IdleSeconds = 900
    """An instance that nobody has used for so long is stopped; the next call starts it again."""

    @model_validator(mode="after")
    def _within_total(self) -> Self:
        for name in ("per_user", "starts_at_once"):
            if name in self.model_fields_set and getattr(self, name) > self.total:
                raise ValueError(f"{to_camel(name)} is {getattr(self, name)} and total {self.total}: lower it")
        return self


class NetworkConfig(Model):
    """The stack's addresses."""

    subnets: str = "10.201.0.0/16"
    """A private range, the lower half for servers, the upper half for users' instances; each takes eight addresses."""

    @field_validator("subnets")
    @classmethod
    def _range(cls, subnets: str) -> str:
        network = ipaddress.IPv4Network(subnets)
        if not network.is_private or not 8 <= network.prefixlen <= 26:
            raise ValueError("the range is not a private one of at least 64 addresses")
        return subnets


def _public_url(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.path
        or parts.query
        or parts.fragment
        or parts.username is not None
    ):
        raise ValueError("the public URL is http(s)://host[:port] and nothing more")
    if parts.port is not None and not 1 <= parts.port <= 65_535:
        raise ValueError("the port is outside 1..65535")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("http is for loopback only: sign-in and tokens need https")
    return url


def is_loopback(host: str) -> bool:
    """Tell whether a host name or literal address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class StackConfig(Model):
    """All that a stack says, without the secrets' values."""

    target: Literal["docker"] = "docker"
    """Where servers run."""
    public_url: Annotated[str, AfterValidator(_public_url)] = ""
    """The URL by which clients reach the gateway. Absent: http on the loopback address at the listening port."""
    listen: Listen = Listen()
    """Where the gateway listens on the host."""
    catalog: Catalog = Catalog()
    """Which servers there are."""
    users: Annotated[tuple[User, ...], Strict(False)] = ()
    """Who may sign in."""
    access: Access = "everyone"
    """Who may use a server that doesn't say so itself."""
    egress: Literal["none"] = "none"
    """Where a server may connect to when it doesn't say so itself."""
    servers: dict[str, ServerConfig] = Field(default_factory=dict)
    """Server's id or entryKey -> what the stack says of it."""
    gateway: GatewayConfig = GatewayConfig()
    """The gateway itself."""
    images: Images = Images()
    """What images are made of."""
    network: NetworkConfig = NetworkConfig()
    """The addresses that servers get."""
    instances: InstancesConfig = InstancesConfig()
    """Users' instances of single-user servers."""

    @model_validator(mode="before")
    @classmethod
    def _url_follows_port(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "publicUrl" in data:
            return data
        listen = data.get("listen")
        port = listen.get("port", 8765) if isinstance(listen, dict) else 8765
        return {**data, "publicUrl": f"http://127.0.0.1:{port}"}
