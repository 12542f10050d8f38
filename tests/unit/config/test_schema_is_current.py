from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from components.cli.schema import ROOT, generated
from components.config.schema import with_tables
from components.config.stack import StackConfig


@pytest.mark.parametrize("path", generated(ROOT), ids=lambda path: path.name)
def test_committed_files_are_what_the_models_say(path: Path) -> None:
    assert path.read_text("utf-8") == generated(ROOT)[path], "run: python -m components.cli schema"


def schema(name: str) -> Draft202012Validator:
    data: dict[str, Any] = json.loads((ROOT / "docs" / "schema" / name).read_text("utf-8"))
    Draft202012Validator.check_schema(data)
    return Draft202012Validator(data)


@pytest.mark.parametrize("path", sorted((ROOT / "stacks").glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_the_projects_stacks_fit_the_schema(path: Path) -> None:
    assert list(schema("stack.json").iter_errors(yaml.safe_load(path.read_text("utf-8")))) == []


@pytest.mark.parametrize("path", sorted((ROOT / "stacks" / "catalogs").rglob("*.yaml")), ids=lambda path: path.name)
def test_the_projects_entries_fit_the_schema(path: Path) -> None:
    assert list(schema("entry.json").iter_errors(yaml.safe_load(path.read_text("utf-8")))) == []


def test_the_schema_refuses_what_the_models_refuse() -> None:
    assert list(schema("stack.json").iter_errors({"config": {"mcp-hosting:lisen": {}}}))
    assert not list(schema("stack.json").iter_errors({"config": {"docker:host": "x"}}))
    assert list(schema("entry.json").iter_errors({"name": "A", "runtime": "docker"}))


def test_the_reference_names_every_field_of_the_stack() -> None:
    page = (ROOT / "docs" / "reference" / "stack.md").read_text("utf-8")
    for name, field in StackConfig.model_fields.items():
        assert f"`{field.alias or name}`" in page


def test_a_page_without_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        with_tables("no marks", StackConfig)
