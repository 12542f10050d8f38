"""Single-user servers: what is fixed, what the stack gives, what is left to each user, and what may not be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config.load import stack_values
from components.errors import Problems
from components.plan.build import plan_of
from components.plan.model import Hosted, Instance, RunAs, Server, StartImage
from components.plan.text import SecretRef, Text, UserValue
from tests.unit.plan.declared import CONTAINER, NPX, REMOTE, UVX, changed, planned, refusals, server

MINE = changed(NPX, name="Mine", entryKey="mine", serverUserType="singleUser")
BOX = changed(CONTAINER, serverUserType="singleUser")
TOKEN = {"key": "TOKEN", "name": "Token", "required": True, "sensitive": True}
REGION = {"key": "REGION", "name": "Region", "required": True}
WHY = {"reason": "the program reads nothing else"}


def one(entry: dict[str, Any], said: dict[str, Any] | None = None, **config: Any) -> Server:
    (found,) = planned([entry], servers={entry["entryKey"]: said or {}}, **config).servers
    return found


def run(found: Server) -> Hosted:
    assert found.hosted is not None
    return found.hosted


def instance(found: Server) -> Instance:
    where = run(found).where
    assert isinstance(where, Instance)
    return where


def with_args(*args: str, env: list[dict[str, Any]]) -> dict[str, Any]:
    return changed(MINE, env=env, npxConfig={"package": "mine@1.0.0", "args": list(args)})


@pytest.mark.parametrize("entry", [NPX, changed(UVX, env=[], uvxConfig={"package": "a==1"}), CONTAINER])
def test_each_runtime_is_planned_without_a_place_of_its_own(entry: dict[str, Any]) -> None:
    found = one(changed(entry, serverUserType="singleUser"))
    assert (found.kind, found.upstream, found.runtime) == ("singleUser", None, entry["runtime"])
    assert instance(found) == Instance(idle_seconds=900, volume=None, user=None)
    with pytest.raises(TypeError):
        _ = run(found).place


def test_a_remote_server_that_calls_itself_single_user_stays_remote() -> None:
    assert one(changed(REMOTE, serverUserType="singleUser")).kind == "remote"


def test_what_nobody_gives_is_each_users_own() -> None:
    entry = with_args("--region", "${REGION}", env=[REGION, TOKEN, {"key": "creds.json", "name": "Creds"}])
    found = one(entry)
    assert run(found).command[1:] == (Text("--region"), Text(UserValue(key="REGION")))
    assert run(found).user_env == {
        "REGION": Text(UserValue(key="REGION")),
        "TOKEN": Text(UserValue(key="TOKEN", sensitive=True)),
    }
    assert [(file.path, file.content) for file in run(found).files] == [
        ("/run/mcp/files/CREDS_JSON", Text(UserValue(key="CREDS_JSON")))
    ]
    assert {each.key: each.usage for each in found.user_settings} == {
        "REGION": "env",
        "TOKEN": "env",
        "CREDS_JSON": "file",
    }
    assert found.given_by == {"REGION": "user", "TOKEN": "user", "CREDS_JSON": "user"}


def test_what_the_stack_gives_or_the_catalog_fixes_is_for_everybody() -> None:
    entry = with_args("--region", "${REGION}", env=[REGION, TOKEN, {"key": "MODE", "value": "strict"}])
    found = one(entry, {"values": {"REGION": "eu", "TOKEN": {"secret": "team"}}})
    assert found.user_settings == ()
    assert run(found).user_env == {}
    assert run(found).secret_env == {"TOKEN": Text(SecretRef(name="team"))}
    assert run(found).env == {"MODE": "strict", "REGION": "eu"}
    assert run(found).command[1:] == (Text("--region"), Text("eu"))
    assert found.given_by == {"REGION": "stack", "TOKEN": "stack", "MODE": "catalog"}


def test_a_value_of_every_kind_is_declared_for_a_user_without_its_prefix() -> None:
    env = [{**TOKEN, "prefix": "Bearer "}, REGION, {"key": "creds.json", "sensitive": True}]
    values = {"TOKEN": {"secret": "t"}, "REGION": "eu", "creds_json": {"secret": "c"}}
    found = one(changed(MINE, env=env), {"userValues": {"alice": values}})
    assert found.user_values == {
        "alice": {"TOKEN": Text(SecretRef(name="t")), "REGION": Text("eu"), "CREDS_JSON": Text(SecretRef(name="c"))}
    }
    assert found.user_settings[0].prefix == "Bearer "


@pytest.mark.parametrize(
    ("entry", "said", "parts"),
    [
        (MINE, {"volume": "/data"}, ["volume", "{path: /data}"]),
        (MINE, {"volume": {"path": "data"}}, ["volume.path", "absolute"]),
        (MINE, {"volume": {"path": "/etc/x"}}, ["volume.path", "/etc"]),
        (MINE, {"volume": {"path": "/a/../b"}}, ["volume.path", "plain path"]),
        (MINE, {"volume": {"path": "/app/data"}}, ["servers.mine.volume.path", "/app"]),
        (MINE, {"idleSeconds": 1}, ["idleSeconds", "5"]),
        (NPX, {"idleSeconds": 60}, ["servers.everything.idleSeconds", "multiUser", "serverUserType: singleUser"]),
        (NPX, {"volume": {"path": "/data"}}, ["servers.everything.volume", "no meaning"]),
        (REMOTE, {"volume": "none"}, ["servers.far.volume", "remote"]),
        (BOX, {"session": "shared"}, ["servers.box.session", "containerized"]),
        (changed(MINE, metadata={"volume": "/proc/x"}), {}, ["metadata.volume", "/proc"]),
        (
            changed(BOX, env=[TOKEN]),
            {},
            ["TOKEN is sensitive", "docker inspect", "file: true", "servers.box.secretsInEnvironment"],
        ),
        (with_args("${TOKEN}", env=[TOKEN]), {}, ["npxConfig.args", "TOKEN", "process list", "secretsInArguments"]),
        (
            changed(BOX, env=[REGION], containerizedConfig={"image": "a:${REGION}", "port": 3000, "path": "/mcp"}),
            {},
            ["containerizedConfig.image", "REGION", "each user gives", "servers.box.values.REGION"],
        ),
        (
            changed(UVX, serverUserType="singleUser", uvxConfig={"package": "a==1", "command": "${LOCAL_TIMEZONE}"}),
            {},
            ["uvxConfig.command", "each user gives", "servers.time.values.LOCAL_TIMEZONE"],
        ),
        (
            changed(MINE, env=[{**TOKEN, "secretBinding": {"name": "s", "key": "k"}}]),
            {},
            ["bound to a Secret of Kubernetes", "{secret: NAME}"],
        ),
        (changed(MINE, env=[TOKEN]), {"userValues": {"alice": {"TOKEN": "clear"}}}, ["alice.TOKEN", "sensitive"]),
        (changed(MINE, env=[TOKEN]), {"userValues": {"carol": {}}}, ["userValues.carol", "not a user"]),
        (changed(MINE, env=[REGION]), {"userValues": {"alice": {"REGION": ""}}}, ["alice.REGION", "is empty"]),
        (MINE, {"userValues": {"alice": {"X": "y"}}}, ["userValues.alice.X", "not a setting"]),
        (
            changed(MINE, env=[{"key": "MODE", "value": "strict"}]),
            {"userValues": {"alice": {"MODE": "lax"}}},
            ["userValues.alice.MODE", "the catalog fixes"],
        ),
        (
            changed(MINE, env=[{**REGION, "options": [{"name": "Europe", "value": "eu"}]}]),
            {"userValues": {"alice": {"REGION": "us"}}},
            ["alice.REGION", "use one of eu"],
        ),
        (changed(NPX, env=[REGION]), {"userValues": {"alice": {"REGION": "eu"}}}, ["shared by all", "values.REGION"]),
        (changed(MINE, entryKey="mine-u-0123456789ab"), {}, ["entryKey", "users' instances", "give another"]),
        (
            changed(
                MINE,
                type="entry",
                config=[
                    {"key": "X_KEY", "usage": "interpolated", "required": True},
                    {"key": "X-Auth", "usage": "header", "value": "Key ${X_KEY}", "static": True},
                ],
            ),
            {},
            ["X_KEY", "part of a header", "set a value for everybody"],
        ),
        (
            changed(
                MINE,
                type="entry",
                config=[{"key": "PLACE", "required": True}, {"key": "PLACE", "usage": "header", "required": True}],
            ),
            {},
            ["PLACE is a header and a variable", "another key"],
        ),
    ],
)
def test_it_is_refused_with_a_remedy(entry: dict[str, Any], said: dict[str, Any], parts: list[str]) -> None:
    text = stack_refusals(entry, said)
    for part in parts:
        assert part in text


def stack_refusals(entry: dict[str, Any], said: dict[str, Any]) -> str:
    """As a person meets them: through the stack's own reader where that refuses first."""
    values = {
        "catalog": {"entries": [entry]},
        "users": [{"login": "alice"}],
        "servers": {entry["entryKey"]: said} if said else {},
    }
    with pytest.raises(Problems) as caught:
        plan_of(stack_values(values, Path(), {"t"}), "test", passwords=None)
    return str(caught.value)


def test_texts_for_people_are_cut_to_what_a_page_can_show() -> None:
    entry = changed(MINE, name="M" * 300, env=[{"key": "A", "name": "a\x1b[31m\nb", "description": "one\r\n\x07two"}])
    found = one(entry)
    assert len(found.name) == 200
    (setting,) = found.user_settings
    assert (setting.name, setting.description) == ("a [31m b", "one\ntwo")


def test_a_header_for_everybody_that_is_empty_is_none() -> None:
    entry = changed(MINE, type="entry", config=[{"key": "X-A", "usage": "header"}])
    assert one(entry, {"values": {"X-A": ""}}).user_settings == ()


def test_all_of_it_is_refused_at_once() -> None:
    said = refusals(
        [changed(BOX, env=[TOKEN]), with_args("${TOKEN}", env=[TOKEN]), NPX],
        servers={"everything": {"idleSeconds": 60}, "mine": {"volume": {"path": "/opt/x"}}},
        network={"subnets": "10.0.0.0/26"},
    )
    for part in ("secretsInEnvironment", "secretsInArguments", "idleSeconds", "volume.path", "instances.total"):
        assert part in said


def test_what_is_not_sensitive_may_be_seen() -> None:
    found = one(with_args("--region", "${REGION}", env=[REGION]))
    assert found.deviations == ()
    assert one(changed(BOX, env=[REGION])).deviations == ()


def test_a_sensitive_file_is_the_safe_way() -> None:
    found = one(changed(BOX, env=[{**TOKEN, "file": True}]))
    assert found.deviations == ()
    assert run(found).env == {"TOKEN": "/run/mcp/files/TOKEN"}


def test_an_exposure_that_is_allowed_is_a_deviation() -> None:
    env = one(changed(BOX, env=[TOKEN]), {"secretsInEnvironment": WHY})
    args = one(with_args("${TOKEN}", env=[TOKEN]), {"secretsInArguments": WHY})
    assert [each.name for each in (*env.deviations, *args.deviations)] == ["secretsInEnvironment", "secretsInArguments"]


@pytest.mark.parametrize(
    ("asked", "said", "volume"),
    [
        (None, {}, None),
        ("/data", {}, "/data"),
        ("none", {}, None),
        ("/data", {"volume": "none"}, None),
        ("/data", {"volume": {"path": "/store"}}, "/store"),
        (None, {"volume": {"path": "/data/notes"}}, "/data/notes"),
    ],
)
def test_the_stacks_word_on_a_volume_stands_above_the_entrys(
    asked: str | None, said: dict[str, Any], volume: str | None
) -> None:
    entry = changed(MINE, metadata={"categories": "a", **({"volume": asked} if asked else {})})
    assert instance(one(entry, said)).volume == volume


def test_a_shared_server_that_asks_for_a_volume_is_remarked_on() -> None:
    assert "only single-user servers have one" in one(changed(NPX, metadata={"volume": "/data"})).warnings[0]


def test_how_long_an_instance_idles_is_the_servers_word_or_the_stacks() -> None:
    assert instance(one(MINE, {"idleSeconds": 60})).idle_seconds == 60
    assert instance(one(MINE, instances={"idleSeconds": 30})).idle_seconds == 30


def test_sessions_and_an_own_user_are_as_on_other_servers() -> None:
    found = run(one(MINE, {"session": "shared", "maxSessions": 3, "installAtStart": WHY, "egress": EGRESS}))
    assert found.bridge is not None
    assert (found.bridge.session, found.bridge.max_sessions, found.image) == ("shared", 3, StartImage())
    assert instance(one(BOX, {"user": "1000"})).user == RunAs(uid=1000, gid=1000)


EGRESS = {"unrestricted": True, "reason": "packages come from a registry"}


def test_bounds_are_the_stacks() -> None:
    bounds = planned([MINE], instances={"total": 8, "perUser": 2}).instances
    assert (bounds.total, bounds.per_user, bounds.starts_at_once) == (8, 2, 4)
    assert planned([MINE]).instances.total == 200


def test_a_single_user_server_takes_no_place_from_others() -> None:
    shared = changed(NPX, entryKey="shared")
    alone = server(planned([shared]), "shared")
    beside = server(planned([shared, MINE, BOX]), "shared")
    assert alone.hosted == beside.hosted


KEYS = st.lists(st.from_regex(r"[A-Z][A-Z0-9]{0,6}", fullmatch=True), unique=True, max_size=6)
USAGES = st.sampled_from(["env", "file", "header"])
GIVERS = st.sampled_from(["fixed", "stack", "user"])


@settings(deadline=None)
@given(st.data(), KEYS)
def test_every_setting_has_one_giver_and_placeholders_are_those_of_users(data: st.DataObject, keys: list[str]) -> None:
    config: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    own: dict[str, str] = {}
    for key in keys:
        usage, giver = data.draw(USAGES), data.draw(GIVERS)
        secret = giver != "fixed" and data.draw(st.booleans())
        fixed = {"value": "v", "static": True} if giver == "fixed" else {}
        config.append({"key": key, "usage": usage, "sensitive": secret, "required": data.draw(st.booleans()), **fixed})
        if giver == "stack":
            values[key] = {"secret": "s"} if secret else "v"
        elif giver == "user":
            own[key] = usage
    found = one(changed(MINE, type="entry", config=config), {"values": values})
    assert {key for key, giver in found.given_by.items() if giver == "user"} == set(own)
    asked = {each.key: each.usage for each in found.user_settings if found.given_by[each.key] == "user"}
    assert asked == own
    texts = (*run(found).user_env.values(), *(file.content for file in run(found).files))
    placed = {value.key for text in texts for value in text.user_values}
    assert placed == {key for key, usage in own.items() if usage != "header"}
    assert not any(text.user_values for text in run(found).secret_env.values())
