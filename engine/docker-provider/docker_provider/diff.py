"""Compares a resource's old inputs with its new ones, property by property; never shows a value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from docker_provider.fields import Change, Field, Fields
from docker_provider.properties import has_unknown, plain


class Edit(Enum):
    """How a place changed."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Difference:
    """All changed places, as property paths, and which top-level properties ask for a replacement."""

    edits: Mapping[str, Edit]
    replaces: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.edits)


def difference(fields: Fields, old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """What must change to get from the inputs `old` to the inputs `new`; an absent property equals its default."""
    edits: dict[str, Edit] = {}
    replaces: list[str] = []
    for key, field in fields.items():
        before = plain(old.get(key, field.default))
        after = plain(new.get(key, field.default))
        found = dict(_edits(field, before, after, key))
        edits |= found
        removed = found.get(key) is Edit.DELETE
        if found and (field.change is Change.REPLACE or (field.change is Change.SET and removed)):
            replaces.append(key)
    return Difference(edits, tuple(replaces))


def _edits(field: Field, old: Any, new: Any, path: str) -> Iterator[tuple[str, Edit]]:
    if not _stated(old) and not _stated(new):
        return
    if field.unordered and isinstance(old, list) and isinstance(new, list) and not has_unknown(new):
        if sorted(map(_key, old)) != sorted(map(_key, new)):
            yield path, Edit.UPDATE
        return
    yield from _places(field.fields, old, new, path)


def _places(fields: Fields | None, old: Any, new: Any, path: str) -> Iterator[tuple[str, Edit]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            field = (fields or {}).get(key)
            default = field.default if field else None
            place = f"{path}.{key}" if key.replace("_", "").isalnum() else f"{path}[{json.dumps(key)}]"
            before, after = old.get(key, default), new.get(key, default)
            yield from _edits(field, before, after, place) if field else _places(None, before, after, place)
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            before, after = (old[i] if i < len(old) else None), (new[i] if i < len(new) else None)
            yield from _places(fields, before, after, f"{path}[{i}]")
    elif not _stated(new):
        if _stated(old):
            yield path, Edit.DELETE
    elif not _stated(old):
        yield path, Edit.ADD
    elif has_unknown(new) or old != new:
        yield path, Edit.UPDATE


def _stated(value: Any) -> bool:
    """Whether the value says anything: an empty list or map is as good as none."""
    return value is not None and value != [] and value != {}


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
