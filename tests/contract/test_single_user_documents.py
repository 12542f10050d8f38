"""Whatever a catalog and a stack may say of a single-user server, control side and launcher take what is rendered."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from mcp_gateway.documents.gateway import parse_gateway_document
from mcp_launcher.templates import parse

from components.catalog.read import entry
from components.config.load import stack_values
from components.errors import Problems
from components.plan.build import plan_of
from components.plan.model import HostingPlan
from components.render.gateway import gateway_document
from tests.contract.test_rendered_documents import VALUES
from tests.contract.test_templates_document import delivered
from tests.render.stack import ROOT

WILD = st.text(st.characters(codec="utf-8"), max_size=6)
WORDS = st.text(st.sampled_from("abc-"), min_size=1, max_size=8)
TEXT = WORDS | WORDS | WORDS | WILD
KEYS = st.sampled_from(["REGION", "TOKEN", "X-KEY", "PLACE", "_A"])
OPTIONS = st.lists(
    st.fixed_dictionaries({"name": TEXT, "value": TEXT, "description": TEXT}),
    max_size=2,
    unique_by=lambda option: option["value"],
)
SECRET = {"secret": "time-token"}
Case = tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Settings, the stack's values for everybody, and its values for alice; most are right, some are refused."""
    config: list[dict[str, Any]] = []
    everybody: dict[str, Any] = {}
    alice: dict[str, Any] = {}
    for key in draw(st.lists(KEYS, unique=True, max_size=4)):
        setting: dict[str, Any] = {
            "key": key,
            "usage": draw(st.sampled_from(["env", "header", "file", "dynamicFile"])),
            "name": draw(TEXT),
            "description": draw(TEXT),
            "required": draw(st.booleans()),
        }
        giver = draw(st.sampled_from(["catalog", "stack", "user", "user", "declared", "declared"]))
        if giver == "catalog":
            setting |= {"value": draw(TEXT), "static": True}
        else:
            setting |= {"prefix": draw(st.just("") | TEXT), "sensitive": draw(st.booleans())}
            setting |= {"options": draw(st.just([]) | OPTIONS)}
            words = st.sampled_from([option["value"] for option in setting["options"]]) if setting["options"] else TEXT
            given_ = everybody if giver == "stack" else alice
            if giver != "user":
                given_[key] = SECRET if setting["sensitive"] and not setting["options"] else draw(words)
        config.append(setting)
    return config, everybody, alice


RUNTIMES: dict[str, dict[str, Any]] = {
    "npx": {"npxConfig": {"package": "a@1.0.0"}},
    "containerized": {"containerizedConfig": {"image": "example.org/a:1", "port": 80, "path": "/mcp"}},
}


def planned(config: list[dict[str, Any]], runtime: str, server: dict[str, Any]) -> HostingPlan | None:
    data = {
        "name": "One",
        "entryKey": "one",
        "type": "entry",
        "runtime": runtime,
        "serverUserType": "singleUser",
        "config": config,
        **RUNTIMES[runtime],
    }
    reason = {"reason": "the server reads nothing else"}
    allowed = {"secretsInEnvironment": reason} if runtime == "containerized" else {}
    values = {
        "catalog": {"entries": [data]},
        "users": [{"login": "alice"}, {"login": "bob"}],
        "servers": {"one": {**server, **allowed}},
    }
    try:
        entry(data, file="a.yaml")
        return plan_of(stack_values(values, ROOT, {"time-token"}), "test", passwords=None)
    except Problems:
        return None


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.sampled_from(sorted(RUNTIMES)))
def test_what_is_planned_is_taken(case: Case, runtime: str) -> None:
    config, everybody, alice = case
    hosting = planned(config, runtime, {"values": everybody, "userValues": {"alice": alice}})
    event("refused" if hosting is None else f"{len(config)} settings")
    if hosting is None:
        return
    (server,) = parse_gateway_document(json.dumps(VALUES.filled(gateway_document(hosting))).encode()).servers
    template = parse(json.dumps(delivered(hosting)).encode(), "test").servers["one"]
    assert server.instance is not None
    own = {f"user:{each.key}" for each in server.user_settings if each.usage != "header"}
    assert template.placeholders == own | set(server.instance.secrets)
    for login in ("alice", "bob"):
        assert set(server.user_values.get(login, {})) <= {each.key for each in server.user_settings}
