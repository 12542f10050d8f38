"""Plain config values -> a stack that is right, together with its catalog, or every problem at once. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from components.catalog.entry import Entry
from components.catalog.explain import read_model
from components.catalog.keys import canonical
from components.catalog.parse import Parsed, Path
from components.catalog.report import Report
from components.config.stack import NAMESPACE, SECRET_KEYS, StackConfig
from components.errors import Problems

ENGINE_FIELDS = tuple(field.alias or name for name, field in StackConfig.model_fields.items())
"""The config keys to ask the engine for, besides the secret ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What a stack says, and the servers of its catalog, sorted by id."""

    config: StackConfig
    entries: tuple[Entry, ...]
    secrets: frozenset[str]
    """The names under `mcp-hosting:secrets` that have a value."""
    passwords: frozenset[str]
    """The logins under `mcp-hosting:passwords` that have a value."""
    file: str
    lines: Mapping[str, int]
    """Path as it is spelled in messages, in lower case -> line of the stack's file; empty when the values came from
    the engine.
    """

    def located(self, problems: Problems) -> Problems:
        """Give each problem that is about the stack itself its file and line."""
        return Problems(
            problem if problem.file else problem.at(file=self.file, line=self._line(problem.path))
            for problem in problems
        )

    def _line(self, path: str) -> int | None:
        path = path.lower()
        while path:
            if (line := self.lines.get(path)) is not None:
                return line
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackValues:
    """The values of the project's config namespace, and the names of the secrets that have one."""

    document: Parsed
    secrets: frozenset[str]
    passwords: frozenset[str]


def from_engine(texts: Mapping[str, str | None]) -> dict[str, object]:
    """Return plain values from what Pulumi hands over: config key -> text, which is JSON for lists and mappings."""
    return {key: _value(text) for key, text in texts.items() if text is not None and key not in SECRET_KEYS}


def _value(text: str) -> object:
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def from_file(document: Parsed) -> StackValues:
    """Return the values of a `Pulumi.<stack>.yaml`; other namespaces belong to providers and are left alone."""
    config = document.data.get("config") if isinstance(document.data, dict) else None
    data: dict[str, object] = {}
    names: dict[str, frozenset[str]] = {}
    lines: dict[Path, int] = {}
    for key, value in (config if isinstance(config, dict) else {}).items():
        short = str(key).removeprefix(f"{NAMESPACE}:")
        if short == key:
            continue
        if short in SECRET_KEYS:
            names[short] = frozenset(map(str, value)) if isinstance(value, dict) else frozenset()
            continue
        data[short] = value
        start = ("config", key)
        lines |= {(short, *path[2:]): line for path, line in document.lines.items() if path[:2] == start}
    return StackValues(
        document=Parsed(data, lines),
        secrets=names.get("secrets", frozenset()),
        passwords=names.get("passwords", frozenset()),
    )


def stack_config(values: Parsed, report: Report) -> StackConfig | None:
    """Return the typed config; what is wrong goes to the report. None when nothing sensible is left."""
    plain, _ = canonical(values.data, StackConfig, report, values.lines, any_case=False)
    if isinstance(plain, dict) and plain.get("target") == "kubernetes":
        report.add(("target",), "Kubernetes can't be deployed to: this version deploys to Docker", "write docker")
        plain = {key: value for key, value in plain.items() if key != "target"}
    return read_model(plain, StackConfig, report)
