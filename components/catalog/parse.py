"""Text of a YAML or JSON file -> plain data, with the line of every field.

Nothing is guessed: YAML 1.2's core schema only (`yes` is a text), no tags, no merge keys; duplicate keys are refused,
and so is a file that is large, deep, or that grows large through its aliases.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

from components.errors import Problem, Problems

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40
MAX_VALUES = 200_000
"""Values in one file after its aliases are followed."""

MAX_DIGITS = 400
"""A longer number stays a text."""

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # leaves every scalar a text: the schema below decides
_TEXT = "tag:yaml.org,2002:str"
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """Plain data and where its fields stand."""

    data: object
    lines: Mapping[Path, int] = field(default_factory=dict)
    """Path -> line, from 1. Empty for JSON."""

    def line(self, path: Path) -> int | None:
        """Return the line of the field, or of the nearest one around it."""
        for end in range(len(path), -1, -1):
            if (line := self.lines.get(path[:end])) is not None:
                return line
        return None


def parsed(text: str, *, file: str) -> Parsed:
    """Parse YAML, or JSON when the file's name ends in `.json`; raises `Problems`."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        _refuse(file, None, f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB", "split it")
    try:
        return _from_json(text, file) if file.lower().endswith(".json") else _from_yaml(text, file)
    except RecursionError:
        _refuse(file, None, "the file is nested too deep", f"keep it to {MAX_DEPTH} levels")


def _refuse(file: str, line: int | None, wrong: str, remedy: str, path: str = "") -> NoReturn:
    raise Problems([Problem(path=path, wrong=wrong, remedy=remedy, file=file, line=line)])


def _from_json(text: str, file: str) -> Parsed:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            double = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
            _refuse(file, None, f"the key {double!r} stands there twice", "keep one of them")
        return found

    def number(name: str) -> NoReturn:
        _refuse(file, None, f"{name} is not a JSON number", "write a number")

    if not text.strip():
        _refuse(file, 1, "the file is empty", "write an entry, or remove the file")
    try:
        data = json.loads(text, object_pairs_hook=unique, parse_constant=number)
    except json.JSONDecodeError as error:
        _refuse(file, error.lineno, f"not JSON: {error.msg}", "mend the spelling")
    except ValueError:
        _refuse(file, None, "a number has too many digits", "write it as a text")
    _bounded(data, file)
    return Parsed(data)


def _bounded(data: object, file: str) -> None:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, (dict, list))
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    _refuse(file, None, "the file is nested too deep", f"keep it to {MAX_DEPTH} levels")


def _from_yaml(text: str, file: str) -> Parsed:
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "it can't be read"
        _refuse(file, mark.line + 1 if mark else None, f"not YAML: {reason}", "mend the spelling")
    except (yaml.YAMLError, ValueError) as error:
        _refuse(
            file, None, f"not YAML: {next(iter(str(error).splitlines()), type(error).__name__)}", "mend the spelling"
        )
    if root is None:
        _refuse(file, 1, "the file is empty", "write an entry, or remove the file")
    builder = _Builder(file)
    return Parsed(builder.value(root, ()), builder.lines)


class _Builder:
    """Turns nodes into plain data, counting as it goes."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}

    def value(self, node: yaml.Node, path: Path) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if len(path) > MAX_DEPTH:
            _refuse(self.file, line, "the file is nested too deep", f"keep it to {MAX_DEPTH} levels")
        if len(self.lines) > MAX_VALUES:
            _refuse(self.file, line, "the file holds too many values once its aliases are followed", "split it")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode) or node.tag != _TEXT:
            _refuse(self.file, line, f"the tag {node.tag} is not read", "write plain YAML")
        return node.value if node.style else _core(node.value)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                _refuse(self.file, line, "a key is not a text", "write a plain text before the colon")
            key: str = key_node.value
            if key == "<<" and not key_node.style:
                _refuse(self.file, line, "merge keys (<<) are not read", "write the fields out")
            if key in found:
                _refuse(self.file, line, f"the key {key!r} stands there twice", "keep one of them")
            self.lines[(*path, key)] = line
            found[key] = self.value(value_node, (*path, key))
        return found


def _core(text: str) -> object:
    """Resolve a plain scalar by the core schema of YAML 1.2.2, section 10.3.2; infinity and NaN stay texts."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if len(text) <= MAX_DIGITS:
        if _DECIMAL.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    return text
