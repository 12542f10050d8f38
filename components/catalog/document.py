"""Catalog files as people write them: v1 and v2 entries and vMCPs, key for key. The rules between the fields are in
the rooms beside this one.

Keys are matched without regard to case and a null counts as absent, as Go's JSON decoder does; `keys` brings a raw
mapping into the spelling that these models know.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """Strict, frozen, camelCase in the file."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


Texts = Annotated[tuple[str, ...], Strict(False)]


class AmountDocument(Document):
    """Kubernetes quantities: `50m`, `0.5`, `128Mi`."""

    cpu: str | int | float | None = None
    memory: str | int | float | None = None


class ResourcesDocument(Document):
    """What a server is promised (`requests`) and may use at most (`limits`)."""

    requests: AmountDocument = AmountDocument()
    limits: AmountDocument = AmountDocument()


class OptionDocument(Document):
    """A value that a setting allows."""

    name: str
    """What people see."""
    value: str
    description: str = ""


class SecretBindingDocument(Document):
    """A key of a Kubernetes Secret that exists already."""

    name: str
    key: str


class HeaderDocument(Document):
    """A request header that a server needs (v1)."""

    key: str = ""
    """The header's name. Absent: `name`."""
    name: str = ""
    """What people see."""
    description: str = ""
    required: bool = False
    """Without a value the server is not offered."""
    sensitive: bool = False
    """The value is a secret: never shown, never in clear in a file."""
    value: str = ""
    """A value of the catalog's own, the same for everybody."""
    prefix: str = ""
    """Put before a value that is not the catalog's own, unless it starts with it."""
    options: Annotated[tuple[OptionDocument, ...], Strict(False)] = ()
    """The values that are allowed. Empty: any."""
    secret_binding: SecretBindingDocument | None = None
    """Kubernetes only."""


class EnvDocument(HeaderDocument):
    """A variable that a server needs (v1)."""

    key: str = ""
    """The variable's name, put in upper case. Absent: `name`."""
    file: bool = False
    """The value goes to a file, the variable holds the file's path."""
    dynamic_file: bool = False
    """With `file`: a change of the content does not restart the server."""


class ConfigDocument(HeaderDocument):
    """A setting of any usage (v2)."""

    key: str = ""
    """The variable's or the header's name. Absent: `name`."""
    usage: Literal["env", "header", "file", "dynamicFile", "interpolated"] = "env"
    """Where the value goes; `interpolated`: used inside `${KEY}` only."""
    static: bool = False
    """The value is the catalog's own."""


class HostedDocument(Document):
    """What every server that is run here has in common."""

    args: Texts = ()
    """Arguments; `${KEY}` stands for a required setting's value."""
    egress_domains: Texts = ()
    """Hosts that the server may reach: `api.example.com`, `*.example.com`."""
    deny_all_egress: bool | None = None
    """true: the server reaches nothing."""
    startup_timeout_seconds: Annotated[int, Field(ge=0, le=600)] = 0
    """How long the server may take to be ready; 0: 60 seconds."""


class NpxDocument(HostedDocument):
    """An npm package."""

    package: str
    """`name@version`."""


class UvxDocument(HostedDocument):
    """A Python package."""

    package: str
    """`name==version`, perhaps with extras: `name[extra]==version`."""
    command: str = ""
    """The package's command. Absent: the one named as the package."""


class ContainerizedDocument(HostedDocument):
    """An image that speaks streamable HTTP."""

    image: str
    port: Annotated[int, Field(ge=1, le=65_535)]
    path: str
    """The MCP endpoint's path."""
    command: str = ""
    """The program to run. Absent: the image's own."""
    healthz_path: str = ""
    """A path that answers 200 when the server is ready. Absent: an MCP `initialize` tells."""


class RemoteDocument(Document):
    """A server elsewhere: exactly one of `fixedURL`, `hostname` and `urlTemplate`."""

    fixed_url: Annotated[str, Field(alias="fixedURL")] = ""
    hostname: str = ""
    """The stack gives an URL of this host; `*.example.com`: of any host below."""
    url_template: str = ""
    """An URL with `${KEY}`."""
    headers: Annotated[tuple[HeaderDocument, ...], Strict(False)] = ()
    static_o_auth_required: Annotated[bool, Field(alias="staticOAuthRequired")] = False
    """The server's own sign-in has no dynamic client registration."""


class ToolOverrideDocument(Document):
    """What becomes of one tool of a component."""

    name: str
    enabled: bool = False
    override_name: str = ""
    override_description: str = ""


_Overrides = Annotated[tuple[ToolOverrideDocument, ...], Strict(False)] | None


class ComponentServerDocument(Document):
    """A server inside a composite (v1): exactly one of `catalogEntryID` and `mcpServerID`."""

    catalog_entry_id: Annotated[str, Field(alias="catalogEntryID")] = ""
    mcp_server_id: Annotated[str, Field(alias="mcpServerID")] = ""
    tool_prefix: str = ""
    tool_overrides: _Overrides = None
    """Absent: all tools; else the enabled ones only."""


class CompositeDocument(Document):
    """Several servers that appear as one (v1)."""

    component_servers: Annotated[tuple[ComponentServerDocument, ...], Strict(False)]


class MultiUserDocument(Document):
    """What each user of a shared server gives."""

    user_defined_headers: Annotated[tuple[HeaderDocument, ...], Strict(False)] = ()


class ToolPreviewDocument(Document):
    """A tool as the catalog describes it; display data."""

    name: str
    description: str = ""
    params: dict[str, str] = Field(default_factory=dict)
    id: str = ""
    credentials: Texts = ()
    enabled: bool | None = None
    unsupported: bool = False


class EntryDocument(Document):
    """A catalog entry: one MCP server."""

    type: Literal["", "entry"] = ""
    """`entry` marks the second version of the format, with `config` in place of `env` and headers."""
    name: str
    """What people see."""
    entry_key: str = ""
    """A stable name, used in the server's URL: lower case letters, digits, hyphens."""
    short_description: Annotated[str, Field(max_length=160)] = ""
    description: str = ""
    """Markdown."""
    icon: str = ""
    repo_url: Annotated[str, Field(alias="repoURL")] = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Display data; `categories` and `unsupportedTools` are comma lists. `volume` is read: where each user of a
    single-user server has a volume (`/data`).
    """
    tool_preview: Annotated[tuple[ToolPreviewDocument, ...], Strict(False)] = ()
    runtime: Literal["npx", "uvx", "containerized", "remote", "composite"]
    npx_config: NpxDocument | None = None
    uvx_config: UvxDocument | None = None
    containerized_config: ContainerizedDocument | None = None
    remote_config: RemoteDocument | None = None
    composite_config: CompositeDocument | None = None
    server_user_type: Literal["", "singleUser", "multiUser"] = ""
    """`singleUser`: a server for each user; `multiUser`: one that all share."""
    multi_user_config: MultiUserDocument | None = None
    env: Annotated[tuple[EnvDocument, ...], Strict(False)] = ()
    config: Annotated[tuple[ConfigDocument, ...], Strict(False)] | None = None
    resources: ResourcesDocument | None = None


class ComponentSettingDocument(Document):
    """What a vMCP says of one setting of a component."""

    key: str
    policy: Literal["", "prohibited", "fixed", "userAllowed"] = ""
    value: str = ""
    secret_binding: SecretBindingDocument | None = None


class ComponentDocument(Document):
    """A server inside a vMCP."""

    name: str
    id: str = ""
    mcp_server_catalog_entry_key: str
    """An `entryKey`, or `source::entryKey`."""
    configuration: Annotated[tuple[ComponentSettingDocument, ...], Strict(False)] = ()
    force_single_user: bool = False
    tool_prefix: str = ""
    tool_overrides: _Overrides = None


class SubjectDocument(Document):
    """Whom a profile is for."""

    type: str
    id: str


class AllowedComponentDocument(Document):
    """Which tools of a component may be used."""

    allowed_tools: Annotated[tuple[str, ...], Strict(False)] | None = None
    """Absent: all; empty: none."""


class PermissionsDocument(Document):
    """What a profile grants."""

    allow_all_components: bool = False
    allowed_components: dict[str, AllowedComponentDocument] = Field(default_factory=dict)


class ProfileDocument(Document):
    """Which tools some subjects may use."""

    name: str
    subjects: Annotated[tuple[SubjectDocument, ...], Strict(False)]
    vmcp_permissions: PermissionsDocument = PermissionsDocument()


class VmcpDocument(Document):
    """Several servers that appear as one (v2)."""

    type: Literal["vmcp"]
    display_name: str
    entry_key: str = ""
    description: str = ""
    icon: str = ""
    tool_search: bool = False
    components: Annotated[tuple[ComponentDocument, ...], Strict(False)] = ()
    profiles: Annotated[tuple[ProfileDocument, ...], Strict(False)] = ()
