"""The package's schema, made from the tables of fields: what `pulumi import` and the code generators read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from docker_provider import NOTICE, VERSION
from docker_provider.fields import Field, Fields, Kind
from docker_provider.operation import ResourceType

_TEXTS = {"type": "array", "items": {"type": "string"}}
_SIMPLE: dict[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": "string"},
    Kind.INTEGER: {"type": "integer"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.STRINGS: _TEXTS,
    Kind.MAP: {"type": "object", "additionalProperties": {"type": "string"}},
}
_COMPUTED = {"list of objects": {"type": "array", "items": {"$ref": "pulumi.json#/Any"}}}


def schema(resources: Iterable[ResourceType]) -> str:
    """The schema as JSON text (Pulumi package schema)."""
    types: dict[str, Any] = {}
    described = {}
    for resource in resources:
        name = resource.token.rpartition(":")[2]
        inputs = _properties(resource.fields, name, types)
        computed = {key: _COMPUTED.get(kind, {"type": kind}) for key, kind in resource.computed.items()}
        described[resource.token] = {
            "inputProperties": inputs,
            "requiredInputs": _required(resource.fields),
            "properties": inputs | computed,
        }
    return json.dumps(
        {
            "name": "docker",
            "version": VERSION,
            "description": NOTICE,
            "config": {"variables": {"host": {"type": "string"}}},
            "provider": {"inputProperties": {"host": {"type": "string"}}},
            "types": types,
            "resources": described,
            "language": {"python": {"packageName": "pulumi_docker"}},
        }
    )


def _properties(fields: Fields, owner: str, types: dict[str, Any]) -> dict[str, Any]:
    return {key: _type(field, key, owner, types) for key, field in fields.items()}


def _type(field: Field, key: str, owner: str, types: dict[str, Any]) -> dict[str, Any]:
    if field.kind in _SIMPLE:
        return _SIMPLE[field.kind]
    singular = key.removesuffix("s") if field.kind is Kind.OBJECTS else key
    name = "ContainerNetworksAdvanced" if key == "networksAdvanced" else f"{owner}{singular[0].upper()}{singular[1:]}"
    token = f"docker:index/{name}:{name}"
    fields = field.fields or {}
    properties = _properties(fields, name, types)
    types[token] = {"type": "object", "properties": properties, "required": _required(fields)}
    reference = {"$ref": f"#/types/{token}"}
    return {"type": "array", "items": reference} if field.kind is Kind.OBJECTS else reference


def _required(fields: Fields) -> list[str]:
    return [key for key, field in fields.items() if field.required]
