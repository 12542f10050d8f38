"""Reads a stack and its catalog: the room of the config that touches the disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from components.catalog import load as catalog_files
from components.catalog.entry import Entry
from components.catalog.parse import Parsed, parsed
from components.catalog.read import distinct, entry
from components.catalog.report import Report, spelled
from components.config.check import check
from components.config.read import Stack, StackValues, from_file, stack_config
from components.errors import Problem, Problems, collected, raise_if


def stack_file(path: Path, root: Path) -> Stack:
    """Return what a `Pulumi.<stack>.yaml` says, with its catalog, without an engine; raises `Problems`."""
    label = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    return _stack(from_file(parsed(catalog_files.text(path, label), file=label)), root, file=label)


def stack_values(
    values: Mapping[str, object], root: Path, secrets: Collection[str], passwords: Collection[str] = ()
) -> Stack:
    """Return what the engine's config values say (`read.from_engine`), with the catalog; raises `Problems`.

    `secrets` and `passwords` are the names under `mcp-hosting:secrets` and the logins under `mcp-hosting:passwords`.
    """
    document = Parsed(dict(values))
    found = StackValues(document=document, secrets=frozenset(secrets), passwords=frozenset(passwords))
    return _stack(found, root, file="stack config")


def _stack(values: StackValues, root: Path, *, file: str) -> Stack:
    report = Report(file=file)
    config = stack_config(values.document, report)
    if config is None:
        raise Problems(report.problems)
    problems: list[Problem] = []
    found: list[Entry] = []
    for index, data in enumerate(config.catalog.entries):
        with collected(problems):
            found.append(entry(data, file=file, lines=report.lines, base=("catalog", "entries", index)))
    with collected(problems):
        found.extend(catalog_files.load(config.catalog.include, root))
    with collected(problems):
        found = list(distinct(found))
    check(config, found, report)
    raise_if([*report.problems, *problems])
    return Stack(
        config=config,
        entries=tuple(found),
        secrets=values.secrets,
        passwords=values.passwords,
        file=file,
        lines={spelled(path).lower(): line for path, line in report.lines.items()},
    )
