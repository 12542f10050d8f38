"""Plain data -> entries that are right, or every problem at once. Pure: what a file holds comes in as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components import names
from components.catalog import references
from components.catalog.composite import vmcp_config
from components.catalog.document import EntryDocument, ToolPreviewDocument, VmcpDocument
from components.catalog.entry import Entry, Runtime, ServerType, Source, ToolPreview
from components.catalog.explain import read_model
from components.catalog.keys import canonical
from components.catalog.parse import Parsed, Path
from components.catalog.report import Report
from components.catalog.runtimes import resources, runtime_config
from components.catalog.settings import settings
from components.catalog.volume import path_wrong
from components.errors import Problem, Problems, collected, raise_if

SHARED = frozenset({"remote", "composite"})
"""Runtimes for which serverUserType has no meaning."""

_LISTS: tuple[Path, ...] = (("env",), ("config",), ("remoteConfig",), ("remoteConfig", "headers"))
"""Without these, what a `${KEY}` refers to can't be told."""


def entries(document: Parsed, *, file: str) -> tuple[Entry, ...]:
    """Return the entries of one file, which holds one mapping or a list of them; raises `Problems`."""
    items = document.data if isinstance(document.data, list) else [document.data]
    found: list[Entry] = []
    problems: list[Problem] = []
    for index, item in enumerate(items):
        base: Path = (index,) if isinstance(document.data, list) else ()
        with collected(problems):
            found.append(entry(item, file=file, lines=document.lines, base=base))
    raise_if(problems)
    return tuple(found)


def entry(data: object, *, file: str, lines: Mapping[Path, int] | None = None, base: Path = ()) -> Entry:
    """Return one entry; `base` is where it stands in its file. Raises `Problems`."""
    inner = {path[len(base) :]: line for path, line in (lines or {}).items() if path[: len(base)] == base}
    report = Report(file=file, entry=_label(data), lines=inner, base=base)
    if not isinstance(data, dict):
        report.add((), "is not a mapping", "write an entry as `field: value` lines", data)
        raise Problems(report.problems)
    source = Source(file=file, line=inner.get(()))
    kind = next((value for key, value in data.items() if str(key).lower() == "type"), None)
    found = _vmcp(data, source, report) if kind == "vmcp" else _entry(data, source, report)
    if found is None or report.problems:
        raise Problems(report.problems)
    return found


def distinct(found: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries sorted by id; raises `Problems` when two of them have one id or one entryKey."""
    by_name: dict[str, Entry] = {}
    problems: list[Problem] = []
    everyone = sorted(found, key=lambda item: (item.id, item.source.file, item.source.line or 0))
    for item in everyone:
        other = by_name.get(item.id)
        if other is not None:
            place = f"{other.source.file}:{other.source.line}" if other.source.line else other.source.file
            problems.append(
                Problem(
                    path="entryKey" if item.entry_key else "name",
                    value=item.id,
                    wrong=f"is the id of two entries: {other.name} ({place}) has it as well",
                    remedy="give each entry an entryKey of its own",
                    file=item.source.file,
                    line=item.source.line,
                    entry=item.name,
                )
            )
        by_name.setdefault(item.id, item)
    raise_if(problems)
    return tuple(everyone)


def _label(data: object) -> str | None:
    if not isinstance(data, dict):
        return None
    fields = {str(key).lower(): value for key, value in data.items()}
    found = (fields.get(name) for name in ("name", "displayname", "entrykey"))
    return next((text[:80] for text in found if isinstance(text, str) and text.strip()), None)


def _entry(data: dict[str, object], source: Source, report: Report) -> Entry | None:
    plain, _ = canonical(data, EntryDocument, report, report.lines, any_case=True)
    document = read_model(plain, EntryDocument, report)
    if document is None:
        return None
    identifier = _identity(document.name, document.entry_key, report)
    server_type = _server_type(document, report)
    _check_versions(document, report)
    found = settings(document, server_type, report)
    if not any(path in report.closed for path in _LISTS):
        references.check(document, found, report)
    config = runtime_config(document, report)
    amounts = resources(document.resources, report)
    volume = _volume(document, report)
    if config is None:
        return None
    return Entry(
        id=identifier,
        entry_key=document.entry_key,
        name=document.name,
        short_description=document.short_description,
        description=document.description,
        icon=document.icon,
        repo_url=document.repo_url,
        metadata=document.metadata,
        tool_preview=tuple(_preview(tool) for tool in document.tool_preview),
        runtime=Runtime(document.runtime),
        runtime_config=config,
        server_type=server_type,
        settings=found,
        resources=amounts,
        volume=volume,
        source=source,
    )


def _vmcp(data: dict[str, object], source: Source, report: Report) -> Entry | None:
    plain, _ = canonical(data, VmcpDocument, report, report.lines, any_case=True)
    document = read_model(plain, VmcpDocument, report)
    if document is None:
        return None
    return Entry(
        id=_identity(document.display_name, document.entry_key, report, name_field="displayName"),
        entry_key=document.entry_key,
        name=document.display_name,
        description=document.description,
        icon=document.icon,
        runtime=Runtime.COMPOSITE,
        runtime_config=vmcp_config(document, report),
        server_type=ServerType.COMPOSITE,
        source=source,
    )


def _identity(name: str, key: str, report: Report, *, name_field: str = "name") -> str:
    if not any(character.isalnum() for character in name):
        report.add((name_field,), "holds no letter and no digit", "write a name", name)
    if key and not names.is_subdomain(key):
        report.add(("entryKey",), "is not made of lower case letters, digits, hyphens and dots", "rename it", key)
    identifier = names.server_id(key or name)
    if names.is_reserved(identifier):
        report.add(
            ("entryKey" if key else name_field,), "is the gateway's own name", "give another entryKey", identifier
        )
    return identifier


def _server_type(document: EntryDocument, report: Report) -> ServerType:
    """A second-version entry is shared unless it says otherwise; a first-version one belongs to one user."""
    if document.runtime in SHARED:
        if document.server_user_type == "multiUser":
            report.add(
                ("serverUserType",),
                f"a {document.runtime} server has no serverUserType multiUser: nothing of it is run for users here",
                "remove it; the stack gives the headers' values for everybody (servers.<id>.values) or for each user"
                " (servers.<id>.userValues)",
                "multiUser",
            )
        return ServerType(document.runtime)
    if document.server_user_type:
        return ServerType(document.server_user_type)
    return ServerType.SINGLE_USER if _is_first_version(document) else ServerType.MULTI_USER


def _is_first_version(document: EntryDocument) -> bool:
    return document.config is None and not document.type


def _volume(document: EntryDocument, report: Report) -> str:
    """A key of the free `metadata`, so that others can still read the file."""
    path = document.metadata.get("volume", "")
    if path in ("", "none"):
        return ""
    if (wrong := path_wrong(path, packaged=document.runtime in ("npx", "uvx"))) is not None:
        report.add(("metadata", "volume"), wrong, "write a folder of the server's own, such as /data", path)
    return path


def _check_versions(document: EntryDocument, report: Report) -> None:
    if not _is_first_version(document):
        old = {
            ("env",): bool(document.env),
            ("remoteConfig", "headers"): bool(document.remote_config and document.remote_config.headers),
            ("multiUserConfig",): document.multi_user_config is not None,
        }
        for path, present in old.items():
            if present:
                report.add(path, "is not read in an entry of the second version", "move it to top-level config")
    elif document.multi_user_config is not None and document.server_user_type != "multiUser":
        report.add(("multiUserConfig",), "is for serverUserType multiUser only", "remove it, or mend serverUserType")
    if document.runtime in SHARED and document.resources is not None:
        report.add(("resources",), f"nothing is run for a {document.runtime} server", "remove it")
    if document.runtime == "composite" and (document.env or document.config):
        report.add(("config" if document.config else "env",), "a composite has no settings of its own", "remove it")


def _preview(tool: ToolPreviewDocument) -> ToolPreview:
    return ToolPreview(
        name=tool.name,
        description=tool.description,
        params=tool.params,
        id=tool.id,
        credentials=tool.credentials,
        enabled=tool.enabled,
        unsupported=tool.unsupported,
    )
