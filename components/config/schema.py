"""JSON Schemas of a stack file and of a catalog file, and the field tables of their reference pages, from the
models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from components.catalog.document import EntryDocument, VmcpDocument
from components.config.stack import NAMESPACE, SECRET_KEYS, StackConfig

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
BEGIN, END = "<!-- fields: begin -->", "<!-- fields: end -->"
"""What stands between these lines of a reference page is written by `make schema`."""

_SECRETS: Mapping[str, str] = {
    "secrets": "Name -> value of a secret: `pulumi config set --secret --path 'mcp-hosting:secrets[\"NAME\"]'`.",
    "passwords": "Login -> first password.",
}


def entry_schema() -> Schema:
    """Return the schema of a catalog file: an entry, a vMCP, or a list of them."""
    schema = _entries()
    one = {"oneOf": [{"$ref": "#/$defs/EntryDocument"}, {"$ref": "#/$defs/VmcpDocument"}]}
    return {
        "$schema": DIALECT,
        "title": "MCP catalog file",
        "anyOf": [one, {"type": "array", "items": one}],
        "$defs": schema["$defs"],
    }


def stack_schema() -> Schema:
    """Return the schema of a `Pulumi.<stack>.yaml`; config of other namespaces is left alone."""
    schema = StackConfig.model_json_schema()
    definitions = schema["$defs"] | _entries()["$defs"]
    one = {"oneOf": [{"$ref": "#/$defs/EntryDocument"}, {"$ref": "#/$defs/VmcpDocument"}]}
    definitions["Catalog"]["properties"]["entries"]["items"] = one
    fields = {f"{NAMESPACE}:{name}": field for name, field in schema["properties"].items()}
    for name in SECRET_KEYS:
        fields[f"{NAMESPACE}:{name}"] = {"type": "object", "description": _SECRETS[name]}
    return {
        "$schema": DIALECT,
        "title": "Stack of MCP servers",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": fields,
                "patternProperties": {
                    f"^{NAMESPACE}:(?!({'|'.join(sorted(schema['properties'] | _SECRETS))})$)": False
                },
            }
        },
        "$defs": definitions,
    }


def _entries() -> Schema:
    adapter: TypeAdapter[Any] = TypeAdapter(EntryDocument | VmcpDocument)
    return adapter.json_schema()


def spelled(schema: Schema) -> str:
    """Spell a schema for a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def with_tables(page: str, *models: type[BaseModel]) -> str:
    """Put the models' field tables between the page's marks; raises `ValueError` when it has none."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"the page has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables(*models)}\n{END}{after}"


def tables(*models: type[BaseModel]) -> str:
    """Return a Markdown table of the fields of each model and of the models that these hold."""
    schema = TypeAdapter(tuple[models] if len(models) > 1 else models[0]).json_schema()  # type: ignore[valid-type]
    definitions: dict[str, Schema] = schema.get("$defs", {})
    if len(models) == 1:
        definitions = {models[0].__name__: schema, **definitions}
    order = list(_reached([model.__name__ for model in models], definitions))
    return "\n".join(_table(name, definitions[name]) for name in order)


def _reached(names: list[str], definitions: Mapping[str, Schema]) -> Iterator[str]:
    seen: set[str] = set()
    while names:
        name = names.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield name
        names += _references(definitions[name].get("properties", {}))


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else []
        return own + [name for child in node.values() for name in _references(child)]
    return [name for child in node for name in _references(child)] if isinstance(node, list) else []


def _title(name: str) -> str:
    return name.removesuffix("Document").removesuffix("Config") or name


def _table(name: str, schema: Schema) -> str:
    lines = [f"### {_title(name)}", "", " ".join(schema.get("description", "").split()), ""]
    lines += ["| Field | Kind | Default | Meaning |", "|---|---|---|---|"]
    required = set(schema.get("required", ()))
    for field, about in schema.get("properties", {}).items():
        default = "required" if field in required else _default(about)
        meaning = " ".join(about.get("description", "").split())
        lines.append(f"| `{field}` | {_kind(about)} | {default} | {_cell(meaning)} |")
    return "\n".join([*lines, ""])


def _default(about: Schema) -> str:
    value = about.get("default")
    return "" if value in (None, "", [], {}) or isinstance(value, dict) else f"`{_cell(json.dumps(value))}`"


def _kind(about: Schema) -> str:
    if "$ref" in about:
        name = about["$ref"].rsplit("/", 1)[-1]
        return f"[{_title(name)}](#{_title(name).lower()})"
    for many in ("oneOf", "anyOf"):
        if many in about:
            kinds = dict.fromkeys(_kind(branch) for branch in about[many] if branch.get("type") != "null")
            return " or ".join(kinds)
    if "const" in about or "enum" in about:
        allowed = [value for value in about.get("enum", [about.get("const")]) if value != ""]
        return " or ".join(f"`{_cell(json.dumps(value).strip(chr(34)))}`" for value in allowed)
    match about.get("type"):
        case "array":
            return f"list of {_kind(about.get('items', {}))}"
        case "object":
            values = about.get("additionalProperties") or next(iter(about.get("patternProperties", {}).values()), None)
            return f"map to {_kind(values)}" if isinstance(values, dict) else "mapping"
        case "integer" | "number":
            low, high = about.get("minimum"), about.get("maximum")
            return f"number {low}..{high}" if low is not None and high is not None else "number"
        case "boolean":
            return "true or false"
        case "string":
            return "text"
    return "any"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
