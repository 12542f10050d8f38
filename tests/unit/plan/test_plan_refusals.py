"""What can't be had is refused by name, all at once, with a way out."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import Problems
from tests.unit.plan.declared import CONTAINER, NPX, REMOTE, UVX, changed, planned, refusals

SECRET = {"key": "TOKEN", "name": "Token", "required": True, "sensitive": True}
GIVEN = {"values": {"TOKEN": {"secret": "token"}}}


def test_all_problems_come_at_once() -> None:
    said = refusals(
        [
            changed(NPX, npxConfig={"package": "a@1.0.0", "egressDomains": ["api.example.org"]}),
            UVX,
            changed(REMOTE, remoteConfig={"fixedURL": "http://10.0.0.1/"}),
        ],
        servers={"nobody": {}},
        passwords=frozenset({"alice"}),
    )
    for part in ("egressDomains", "LOCAL_TIMEZONE", "allowPrivateUpstream", "servers.nobody", "users[1]"):
        assert part in said


@pytest.mark.parametrize(
    ("entry", "servers", "parts"),
    [
        (
            changed(NPX, npxConfig={"package": "a@1.0.0", "egressDomains": ["api.example.org"]}),
            {},
            ["npxConfig.egressDomains", "api.example.org", "unrestricted: true"],
        ),
        (changed(NPX, npxConfig={"package": "a@1.0.0", "denyAllEgress": False}), {}, ["denyAllEgress", "unrestricted"]),
        (changed(NPX, npxConfig={"package": "-g"}), {}, ["npxConfig.package", "registry"]),
        (changed(UVX, env=[], uvxConfig={"package": "x @ https://e.org/x.whl"}), {}, ["uvxConfig.package", "index"]),
        (UVX, {}, ["servers.time.values.LOCAL_TIMEZONE", "required"]),
        (changed(CONTAINER, env=[SECRET]), {"box": GIVEN}, ["docker inspect", "file: true", "secretsInEnvironment"]),
        (
            changed(NPX, env=[SECRET], npxConfig={"package": "a@1.0.0", "args": ["--token", "${TOKEN}"]}),
            {"everything": GIVEN},
            ["npxConfig.args", "process list", "secretsInArguments"],
        ),
        (
            changed(NPX, env=[{**SECRET, "secretBinding": {"name": "s", "key": "k"}}]),
            {},
            ["bound to a Secret of Kubernetes", "{secret: NAME}"],
        ),
        (changed(NPX, env=[SECRET]), {"everything": {"values": {"TOKEN": "in clear"}}}, ["is sensitive", "secret"]),
        (NPX, {"everything": {"values": {"OTHER": "x"}}}, ["values.OTHER", "not a setting"]),
        (NPX, {"everything": {"user": "1000"}}, ["servers.everything.user", "containerized"]),
        (NPX, {"everything": {"installAtStart": {"reason": "because I want"}}}, ["installAtStart", "egress"]),
        *(
            (
                changed(REMOTE, env=[SECRET], remoteConfig={"urlTemplate": template}),
                {"far": GIVEN},
                ["remoteConfig", wrong],
            )
            for template, wrong in (
                ("http://api.example.org/${TOKEN}/mcp", "plain http"),
                ("http://${TOKEN}.example.org/mcp", "plain http"),
                ("https://10.0.0.1/${TOKEN}", "private network"),
                ("https://169.254.169.254/${TOKEN}", "metadata"),
            )
        ),
        (REMOTE, {"far": {"userValues": {"carol": {"X-API-KEY": {"secret": "s"}}}}}, ["userValues.carol", "user"]),
        (NPX, {"everything": {"access": {"groups": ["nobody"]}}}, ["access.groups", "nobody", "group"]),
        (NPX, {"everything": {"resources": {"limits": {"memory": "1Mi"}}}}, ["limits.memory", "at least"]),
        (changed(NPX, entryKey="x-delivery"), {}, ["-delivery", "give another"]),
    ],
)
def test_it_is_refused_with_a_remedy(entry: dict[str, Any], servers: dict[str, Any], parts: list[str]) -> None:
    said = refusals([entry], servers=servers)
    for part in parts:
        assert part in said


def test_an_unknown_secret_is_named_with_the_command_that_sets_it() -> None:
    with pytest.raises(Problems, match=r"config set --secret --path 'mcp-hosting:secrets\[\"token\"\]'"):
        planned([changed(NPX, env=[SECRET])], servers={"everything": GIVEN}, secrets=frozenset())


def test_no_refusal_repeats_a_value_that_is_sensitive() -> None:
    said = refusals([changed(NPX, env=[SECRET])], servers={"everything": {"values": {"TOKEN": "hunter2-hunter2"}}})
    assert "hunter2" not in said


def test_an_allowed_exposure_is_a_deviation() -> None:
    reason = {"reason": "the image reads nothing else"}
    servers = {"box": {**GIVEN, "secretsInEnvironment": reason}}
    (box,) = planned([changed(CONTAINER, env=[SECRET])], servers=servers).servers
    assert [each.reason for each in box.deviations] == [reason["reason"]]
    assert box.hosted is not None
    assert "TOKEN" in box.hosted.secret_env


def test_gvisor_is_a_class_of_isolation_not_a_refusal() -> None:
    (found,) = planned([NPX], servers={"everything": {"isolation": "gvisor"}}).servers
    assert found.hosted is not None
    assert found.hosted.isolation == "gvisor"
