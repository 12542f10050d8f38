from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from components.catalog.document import EntryDocument, VmcpDocument
from components.catalog.entry import Entry
from components.catalog.parse import Parsed, parsed
from components.catalog.read import distinct, entries
from components.errors import Problems

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
FIELDS = sorted(
    {
        field
        for model in (EntryDocument, VmcpDocument)
        for field in re.findall(r'"([A-Za-z]+)": \{', json.dumps(model.model_json_schema()))
    }
)
WORDS = st.sampled_from([*FIELDS, "npx", "uvx", "containerized", "remote", "composite", "vmcp", "entry", "multiUser"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], max_codepoint=0xFFFF), max_size=20)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9 ._-]{0,30}[A-Za-z0-9]", fullmatch=True)
ENTRY_KEYS = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True).filter(
    lambda k: not k.startswith("gateway")
)
VARIABLES = st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True)
HOSTED: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "name": NAMES,
        "entryKey": ENTRY_KEYS,
        "runtime": st.just("npx"),
        "npxConfig": st.fixed_dictionaries({"package": st.just("a@1.0.0")}),
    },
    optional={
        "description": TEXT,
        "metadata": st.dictionaries(TEXT, TEXT, max_size=3),
        "serverUserType": st.sampled_from(["singleUser", "multiUser"]),
        "env": st.lists(
            st.fixed_dictionaries({"key": VARIABLES, "required": st.booleans(), "sensitive": st.booleans()}),
            max_size=4,
            unique_by=lambda item: item["key"],
        ),
    },
)


def outcome(data: object) -> tuple[tuple[Entry, ...], list[Problems]]:
    """What is found or refused; any other exception goes through."""
    try:
        return entries(Parsed(data), file="a.json"), []
    except Problems as problems:
        return (), [problems]


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_data_gives_entries_or_problems(data: object) -> None:
    found, problems = outcome(data)
    assert found or problems or data == []
    json.dumps([problem for raised in problems for problem in raised.to_json()])
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", entry.id) for entry in found)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {"name": NAMES, "runtime": st.just("npx"), "npxConfig": st.fixed_dictionaries({"package": st.just("a")})},
        optional=dict.fromkeys(("env", "config", "remoteConfig", "resources", "metadata", "toolPreview"), VALUES),
    )
)
def test_an_entry_with_odd_fields_gives_entries_or_problems(data: dict[str, object]) -> None:
    found, problems = outcome(data)
    assert bool(found) != bool(problems)


@settings(max_examples=60, deadline=None)
@given(st.lists(HOSTED, max_size=5, unique_by=lambda item: item["entryKey"]))
def test_right_entries_are_read_with_distinct_ids_in_any_order(items: list[dict[str, Any]]) -> None:
    text = json.dumps(items)
    forward = distinct(entries(parsed(text, file="a.json"), file="a.json"))
    backward = distinct(reversed(entries(parsed(text, file="a.json"), file="a.json")))
    assert forward == backward
    assert len({entry.id for entry in forward}) == len(items)
    by_key = {item["entryKey"]: item for item in items}
    for entry in forward:
        item = by_key[entry.entry_key]
        assert entry.name == item["name"]
        assert entry.description == item.get("description", "")
        assert entry.metadata == item.get("metadata", {})
        assert [s.key for s in entry.settings] == [setting["key"] for setting in item.get("env", [])]


@settings(max_examples=60, deadline=None)
@given(HOSTED)
def test_yaml_and_json_say_the_same(item: dict[str, Any]) -> None:
    text = json.dumps(item, ensure_ascii=False)
    (from_json,) = entries(parsed(text, file="a.json"), file="a")
    (from_yaml,) = entries(parsed(text, file="a.yaml"), file="a")
    assert (from_json.id, from_json.settings, from_json.metadata) == (
        from_yaml.id,
        from_yaml.settings,
        from_yaml.metadata,
    )
