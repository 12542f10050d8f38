"""How a resource type describes its input properties: one table serves checking, comparing and the package's schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """The shape of a property's value."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRINGS = "list of strings"
    MAP = "map of strings"
    OBJECT = "object"
    OBJECTS = "list of objects"


class Change(Enum):
    """What a changed property does to the resource."""

    REPLACE = "replace"
    UPDATE = "update"
    SET = "update, but replace when it is taken away"
    """For what the engine can set on a running container but not lift from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input property."""

    kind: Kind
    change: Change = Change.REPLACE
    required: bool = False
    default: Any = None
    """Filled in by Check when the program says nothing, as the real plugin does."""
    pattern: str | None = None
    """A regular expression that a text must match as a whole."""
    unordered: bool = False
    """The order of the elements means nothing."""
    fields: Mapping[str, Field] | None = None
    """The properties of an object, or of each object in a list."""


Fields = Mapping[str, Field]


def string(**options: Any) -> Field:
    """A text."""
    return Field(kind=Kind.STRING, **options)


def integer(**options: Any) -> Field:
    """A whole number."""
    return Field(kind=Kind.INTEGER, **options)


def boolean(**options: Any) -> Field:
    """True or false."""
    return Field(kind=Kind.BOOLEAN, **options)


def strings(**options: Any) -> Field:
    """A list of texts."""
    return Field(kind=Kind.STRINGS, **options)


def mapping(**options: Any) -> Field:
    """A map of texts to texts."""
    return Field(kind=Kind.MAP, **options)


def nested(fields: Fields, **options: Any) -> Field:
    """An object."""
    return Field(kind=Kind.OBJECT, fields=fields, **options)


def several(fields: Fields, **options: Any) -> Field:
    """A list of objects."""
    return Field(kind=Kind.OBJECTS, fields=fields, **options)


LABELS = several({"label": string(required=True), "value": string(required=True)}, unordered=True)
"""Docker labels, as the real plugin spells them."""
