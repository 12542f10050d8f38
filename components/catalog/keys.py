"""Brings a raw mapping into the spelling that its model knows, and refuses every key that the model doesn't know by
name.

A null counts as absent, as Go's JSON decoder has it; keys of free maps (`metadata`) are left alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from components.catalog.parse import Path
from components.catalog.report import Report

HINTS = {
    "tunnelname": "a reverse tunnel can't be reached from here: give the server an URL",
    "adminadded": "only the platform that a file comes from sets it: remove it",
    "manifest": "it is another platform's snapshot: name the component by its entry instead",
    "systemmcpservertype": "system servers (filters) are not hosted: remove the entry",
    "filterconfig": "system servers (filters) are not hosted: remove the entry",
    "idleshutdownintervalhours": "it is no field of a catalog: the stack's idleSeconds stops idle instances",
    "secure": "an encrypted value is not read in place: put it under mcp-hosting:secrets and write {secret: NAME}",
    "healthzport": "the health check uses `port`: remove it",
}
"""Keys that people bring from elsewhere, in lower case, and what to do."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a field holds: a model, a list, a map, or anything else."""

    model: type[BaseModel] | None = None
    items: _Shape | None = None
    values: _Shape | None = None


def canonical(
    data: object, model: type[BaseModel], report: Report, lines: Mapping[Path, int], *, any_case: bool
) -> tuple[object, dict[Path, int]]:
    """Return the data and the lines under the model's own spelling; unknown keys go to the report and are left out."""
    walk = _Walk(report, lines, any_case)
    return walk.value(data, _Shape(model=model), (), ()), walk.found


class _Walk:
    def __init__(self, report: Report, lines: Mapping[Path, int], any_case: bool) -> None:
        self.report, self.lines, self.any_case = report, lines, any_case
        self.found: dict[Path, int] = {}
        report.lines = self.found

    def value(self, data: object, shape: _Shape, old: Path, new: Path) -> object:
        if (line := self.lines.get(old)) is not None:
            self.found[new] = line
        if shape.model is not None and isinstance(data, dict):
            return self._fields(data, shape.model, old, new)
        if isinstance(data, list):
            items = shape.items or _Shape()
            return [self.value(item, items, (*old, index), (*new, index)) for index, item in enumerate(data)]
        if isinstance(data, dict):
            values = shape.values or _Shape()
            empty: object = {} if values.model else None
            return {
                key: self.value(empty if item is None else item, values, (*old, key), (*new, key))
                for key, item in data.items()
            }
        return data

    def _fields(self, data: dict[str, Any], model: type[BaseModel], old: Path, new: Path) -> dict[str, object]:
        known = _fields(model)
        result: dict[str, object] = {}
        for key, item in data.items():
            name, shape = known.get(str(key).lower(), ("", _Shape()))
            if not name or (key != name and not self.any_case):
                if (line := self.lines.get((*old, key))) is not None:
                    self.found[(*new, key)] = line
                self.report.add((*new, key), "is not a field known here", self._remedy(str(key), model, name))
            elif name in result:
                self.report.add((*new, name), "stands there twice, in different case", "keep one of them")
            elif item is not None:
                result[name] = self.value(item, shape, (*old, key), (*new, name))
        return result

    def _remedy(self, key: str, model: type[BaseModel], name: str) -> str:
        if hint := HINTS.get(key.lower()):
            return hint
        fields = {low: name for low, (name, _) in _fields(model).items()}
        close = [name] if name else [fields[low] for low in difflib.get_close_matches(key.lower(), fields, n=1)]
        return f"did you mean {close[0]}?" if close else f"remove it, or write one of {', '.join(fields.values())}"


@cache
def _fields(model: type[BaseModel]) -> dict[str, tuple[str, _Shape]]:
    return {
        (field.alias or name).lower(): (field.alias or name, _shape(field.annotation))
        for name, field in model.model_fields.items()
    }


def _shape(annotation: Any) -> _Shape:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _Shape(model=annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return _Shape(items=_shape(arguments[0]))
    if origin is dict:
        return _Shape(values=_shape(arguments[1]))
    if not arguments or origin is None:
        return _Shape()
    shapes = [_shape(argument) for argument in arguments if not isinstance(argument, (str, int))]
    return next((shape for shape in shapes if shape.model or shape.items or shape.values), _Shape())
