"""Composite servers (v1) and vMCPs (v2): several servers that appear as one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from components.catalog.document import (
    ComponentDocument,
    ComponentServerDocument,
    CompositeDocument,
    ProfileDocument,
    SecretBindingDocument,
    ToolOverrideDocument,
    VmcpDocument,
)
from components.catalog.entry import (
    Component,
    ComponentSetting,
    CompositeConfig,
    Profile,
    SecretBinding,
    Subject,
    ToolOverride,
)
from components.catalog.parse import Path
from components.catalog.report import Report

MAX_PREFIX = 64
MAX_TOOL_NAME = 128
_TOOL = re.compile(r"[A-Za-z0-9._/-]*")


def composite_config(document: CompositeDocument, report: Report) -> CompositeConfig:
    """Return the components of a v1 composite; what is wrong goes to the report."""
    path: Path = ("compositeConfig", "componentServers")
    if not document.component_servers:
        report.add(path, "names no component", "name at least one")
    components = tuple(
        _component_server(item, (*path, index), report) for index, item in enumerate(document.component_servers)
    )
    _check_together(components, path, report, "toolPrefix")
    _distinct([component.entry or component.server for component in components], path, report, "component")
    return CompositeConfig(components=components)


def _component_server(item: ComponentServerDocument, path: Path, report: Report) -> Component:
    if bool(item.catalog_entry_id) == bool(item.mcp_server_id):
        report.add(path, "needs exactly one of catalogEntryID and mcpServerID", "keep one")
    _check_prefix(item.tool_prefix, path, report)
    return Component(
        entry=item.catalog_entry_id,
        server=item.mcp_server_id,
        tool_prefix=item.tool_prefix,
        tool_overrides=_overrides(item.tool_overrides, path, report),
    )


def vmcp_config(document: VmcpDocument, report: Report) -> CompositeConfig:
    """Return the components and profiles of a vMCP; what is wrong goes to the report."""
    path: Path = ("components",)
    if not document.components:
        report.add(path, "names no component", "name at least one")
    components = tuple(_component(item, (*path, index), report) for index, item in enumerate(document.components))
    _distinct([component.name for component in components], path, report, "name")
    _distinct([component.id for component in components], path, report, "id")
    _check_together(components, path, report, "toolPrefix")
    known = {component.id for component in components if component.id} | {component.name for component in components}
    profiles = tuple(_profile(item, ("profiles", index), known, report) for index, item in enumerate(document.profiles))
    _distinct([profile.name for profile in profiles], ("profiles",), report, "name")
    return CompositeConfig(components=components, tool_search=document.tool_search, profiles=profiles)


def _component(item: ComponentDocument, path: Path, report: Report) -> Component:
    if not item.name.strip():
        report.add((*path, "name"), "is blank", "write a name")
    if "." in item.id:
        report.add((*path, "id"), "holds a dot", "use letters, digits and hyphens", item.id)
    if not item.mcp_server_catalog_entry_key.strip():
        report.add((*path, "mcpServerCatalogEntryKey"), "is blank", "write an entryKey")
    _check_prefix(item.tool_prefix, path, report)
    for index, setting in enumerate(item.configuration):
        where = (*path, "configuration", index)
        if setting.policy != "fixed" and (setting.value or setting.secret_binding):
            report.add(where, "has a value or secretBinding without policy fixed", "write policy: fixed")
        if setting.value and setting.secret_binding:
            report.add(where, "has both value and secretBinding", "keep one")
    _distinct([setting.key for setting in item.configuration], (*path, "configuration"), report, "key")
    return Component(
        entry=item.mcp_server_catalog_entry_key,
        id=item.id,
        name=item.name,
        tool_prefix=item.tool_prefix,
        tool_overrides=_overrides(item.tool_overrides, path, report),
        configuration=tuple(
            ComponentSetting(
                key=setting.key,
                policy=setting.policy or "prohibited",
                value=setting.value,
                secret_binding=_binding(setting.secret_binding),
            )
            for setting in item.configuration
        ),
        force_single_user=item.force_single_user,
    )


def _binding(document: SecretBindingDocument | None) -> SecretBinding | None:
    return SecretBinding(name=document.name, key=document.key) if document else None


def _profile(item: ProfileDocument, path: Path, known: set[str], report: Report) -> Profile:
    if not item.subjects:
        report.add((*path, "subjects"), "names nobody", "name at least one subject")
    permissions = item.vmcp_permissions
    if permissions.allow_all_components and permissions.allowed_components:
        report.add((*path, "vmcpPermissions"), "allows all components and lists some", "keep one of the two")
    for component in permissions.allowed_components:
        if component not in known:
            where = (*path, "vmcpPermissions", "allowedComponents", component)
            report.add(where, "is no component of this vMCP", f"write one of {', '.join(sorted(known))}")
    return Profile(
        name=item.name,
        subjects=tuple(Subject(type=subject.type, id=subject.id) for subject in item.subjects),
        all_components=permissions.allow_all_components,
        components={key: allowed.allowed_tools for key, allowed in permissions.allowed_components.items()},
    )


def _check_prefix(prefix: str, path: Path, report: Report) -> None:
    if len(prefix) > MAX_PREFIX or not _TOOL.fullmatch(prefix):
        wrong = f"is not at most {MAX_PREFIX} letters, digits, dots, underscores, slashes and hyphens"
        report.add((*path, "toolPrefix"), wrong, "write such a prefix", prefix)


def _overrides(
    items: Sequence[ToolOverrideDocument] | None, path: Path, report: Report
) -> tuple[ToolOverride, ...] | None:
    if items is None:
        return None
    for index, item in enumerate(items):
        if not item.name.strip():
            report.add((*path, "toolOverrides", index, "name"), "is blank", "write the tool's name")
    _distinct([item.name for item in items], (*path, "toolOverrides"), report, "tool")
    return tuple(
        ToolOverride(
            name=item.name,
            enabled=item.enabled,
            override_name=item.override_name,
            override_description=item.override_description,
        )
        for item in items
    )


def _check_together(components: Sequence[Component], path: Path, report: Report, field: str) -> None:
    _distinct([component.tool_prefix for component in components], path, report, field)
    seen: set[str] = set()
    for index, component in enumerate(components):
        for number, tool in enumerate(component.tool_overrides or ()):
            if not tool.enabled:
                continue
            name = component.tool_prefix + (tool.override_name or tool.name)
            where = (*path, index, "toolOverrides", number)
            if len(name) > MAX_TOOL_NAME or not _TOOL.fullmatch(name):
                report.add(where, f"gives a tool's name of more than {MAX_TOOL_NAME} or odd characters", "shorten it")
            elif name in seen:
                report.add(where, f"gives the name {name} to a second tool", "give one of them another prefix or name")
            seen.add(name)


def _distinct(texts: Sequence[str], path: Path, report: Report, what: str) -> None:
    seen: set[str] = set()
    for index, text in enumerate(texts):
        if text and text in seen:
            report.add((*path, index), f"the {what} {text} stands there twice", "keep one of them")
        seen.add(text)
