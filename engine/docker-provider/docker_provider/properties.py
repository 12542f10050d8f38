"""Property values between the wire (`google.protobuf.Struct` with Pulumi's signatures) and plain Python.

A secret arrives as `Secret`, a value that a preview cannot know as `UNKNOWN`. Must never turn a secret into a log line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

Properties = dict[str, Any]

# Pulumi's wire constants: sdk/go/common/resource (sig.Key, sig.Secret, plugin.Unknown*Value).
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker
_UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
"""A value that is known only once the resources it depends on exist."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret value; its representation doesn't show it."""

    value: Any = field(repr=False)


def decode(struct: Struct) -> Properties:
    """The properties in `struct`; nulls are left out, whole numbers are ints."""
    return {key: _decoded(value) for key, value in MessageToDict(struct).items() if value is not None}


def _decoded(value: Any) -> Any:
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWNS else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return Secret(_decoded(value.get("value")))
        return {key: _decoded(item) for key, item in value.items() if item is not None}
    return value


def encode(properties: Mapping[str, Any]) -> Struct:
    """`properties` as they go over the wire."""
    struct = Struct()
    struct.update({key: _encoded(value) for key, value in properties.items() if value is not None})
    return struct


def _encoded(value: Any) -> Any:
    if value is UNKNOWN:
        return _UNKNOWN_STRING
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _encoded(value.value)}
    if isinstance(value, Mapping):
        return {key: _encoded(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """`value` with every secret laid open."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def resecret(value: Any, *likes: Any) -> Any:
    """`value` with a secret wherever one of `likes` has one at the same place."""
    if any(isinstance(like, Secret) for like in likes):
        return Secret(plain(value))
    if isinstance(value, Mapping):
        maps = [like for like in likes if isinstance(like, Mapping)]
        return {key: resecret(item, *(like[key] for like in maps if key in like)) for key, item in value.items()}
    if isinstance(value, list):
        lists = [like for like in likes if isinstance(like, list)]
        # A list that was reordered or cut no longer says which element is secret: then all of it is.
        if any(len(like) != len(value) and next(secret_texts(like), None) is not None for like in lists):
            return Secret(plain(value))
        return [resecret(item, *(like[i] for like in lists if i < len(like))) for i, item in enumerate(value)]
    return value


def secret_texts(value: Any, *, inside: bool = False) -> Iterator[str]:
    """Every text that is part of a secret."""
    if isinstance(value, Secret):
        yield from secret_texts(value.value, inside=True)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secret_texts(item, inside=inside)
    elif isinstance(value, list):
        for item in value:
            yield from secret_texts(item, inside=inside)
    elif inside and isinstance(value, str):
        yield value


def has_unknown(value: Any) -> bool:
    """Whether any part of `value` is unknown."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN
