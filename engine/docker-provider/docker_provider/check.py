"""Checks inputs against a table of fields: refuses what is not supported by name, fills in defaults and a name."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docker_provider.fields import Field, Fields, Kind
from docker_provider.properties import UNKNOWN, Properties, Secret, plain

DEFAULTS = "__defaults"
"""The input that lists which properties Check filled in; the real plugin keeps the same list."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong with one property; never shows its value."""

    property: str
    reason: str


def checked(fields: Fields, news: Properties, olds: Properties, *, autoname: str | None) -> Properties:
    """`news` with defaults; `autoname` is the name where the program gives none and `olds` has no such name yet."""
    inputs = {key: value for key, value in news.items() if key != DEFAULTS}
    filled: list[str] = []
    if autoname is not None and "name" not in inputs:
        kept = olds.get("name") if "name" in plain(olds.get(DEFAULTS, [])) else None
        inputs["name"] = kept or autoname
        filled.append("name")
    for key, field in fields.items():
        if field.default is not None and key not in inputs:
            inputs[key] = field.default
            filled.append(key)
    return {**inputs, DEFAULTS: sorted(filled)}


def autoname(resource: str, seed: bytes) -> str:
    """A name for the resource with that logical name: the same for the same seed, else a new one."""
    digest = hashlib.sha256(seed + resource.encode()).hexdigest() if seed else secrets.token_hex(4)
    return f"{resource}-{digest[:7]}"


def failures(fields: Fields, inputs: Properties, path: str = "") -> Iterator[Failure]:
    """Everything that is wrong with the shape of `inputs`."""
    for key, value in inputs.items():
        place = f"{path}.{key}" if path else key
        if key.startswith("__"):
            continue
        if key not in fields:
            yield Failure(
                place, "not supported by this stand-in for pulumi-docker; leave it out or use the real plugin"
            )
            continue
        yield from _value_failures(fields[key], value, place)
    for key, field in fields.items():
        if field.required and key not in inputs:
            yield Failure(f"{path}.{key}" if path else key, "missing; it is required")


def _value_failures(field: Field, value: Any, place: str) -> Iterator[Failure]:
    if isinstance(value, Secret):
        value = value.value
    if value is UNKNOWN:
        return
    match field.kind, value:
        case Kind.STRING, str():
            if field.pattern and not re.fullmatch(field.pattern, value):
                yield Failure(place, f"does not match {field.pattern}")
        case Kind.BOOLEAN, bool():
            return
        case Kind.INTEGER, int() if not isinstance(value, bool):
            return
        case Kind.STRINGS, list():
            for i, item in enumerate(value):
                yield from _value_failures(Field(kind=Kind.STRING), item, f"{place}[{i}]")
        case Kind.MAP, Mapping():
            for key, item in value.items():
                yield from _value_failures(Field(kind=Kind.STRING), item, f"{place}.{key}")
        case Kind.OBJECT, Mapping():
            yield from failures(field.fields or {}, dict(value), place)
        case Kind.OBJECTS, list():
            for i, item in enumerate(value):
                yield from _value_failures(Field(kind=Kind.OBJECT, fields=field.fields), item, f"{place}[{i}]")
        case _:
            yield Failure(place, f"must be a {field.kind.value}")
