from __future__ import annotations

from pathlib import Path

import pytest

from components.catalog.entry import Entry
from components.config.load import stack_values
from components.config.servers import server_config, server_resources, upstream_url, values
from components.config.stack import StackConfig
from components.errors import Problems

ROOT = Path(__file__).resolve().parents[3]
HOSTED: dict[str, object] = {
    "name": "Box",
    "entryKey": "box",
    "serverUserType": "multiUser",
    "runtime": "containerized",
    "containerizedConfig": {"image": "a:1", "port": 80, "path": "/mcp"},
    "multiUserConfig": {"userDefinedHeaders": [{"key": "X-Key", "sensitive": True}]},
    "env": [
        {"key": "MODE", "required": True, "options": [{"name": "Fast", "value": "fast"}]},
        {"key": "TOKEN", "sensitive": True, "prefix": "tok-"},
        {"key": "FIXED", "value": "x"},
    ],
    "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "128Mi"}},
}
REMOTE: dict[str, object] = {
    "name": "Far",
    "entryKey": "far",
    "runtime": "remote",
    "remoteConfig": {"fixedURL": "https://far.example/mcp", "headers": [{"key": "Authorization", "sensitive": True}]},
}
BOX: dict[str, object] = {"values": {"MODE": "fast"}}


def read(
    *entries: dict[str, object], servers: dict[str, object], secrets: tuple[str, ...] = ("s",)
) -> tuple[StackConfig, tuple[Entry, ...]]:
    stack = stack_values(
        {"catalog": {"entries": list(entries)}, "users": [{"login": "alice"}], "servers": servers}, ROOT, secrets
    )
    return stack.config, stack.entries


def wrong(*entries: dict[str, object], servers: dict[str, object]) -> list[str]:
    with pytest.raises(Problems) as caught:
        read(*entries, servers=servers)
    return [str(problem) for problem in caught.value]


def remote(**fields: object) -> dict[str, object]:
    return {**REMOTE, "remoteConfig": fields}


def test_a_stack_and_its_catalog_that_agree_are_read() -> None:
    box = {
        "values": {"MODE": "fast", "TOKEN": {"secret": "s"}},
        "userValues": {"alice": {"x-key": {"secret": "s"}}},
        "resources": {"limits": {"memory": "1Gi"}},
    }
    config, (entry,) = read(HOSTED, servers={"box": box})
    server = server_config(config, entry)
    assert values(entry, server)["FIXED"] == "x"
    assert server_resources(entry, server).limits.memory_bytes == 2**30
    assert server_resources(entry, server).requests.memory_bytes == 64 * 2**20


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({}, "servers.box.values: Box requires MODE; write servers.box.values.MODE: TEXT"),
        ({"values": {"MODE": ""}}, "requires MODE"),
        ({"values": {"MODE": "slow"}}, "is not one of the entry's options; write one of: fast"),
        ({"values": {"MODE": "fast", "MOOD": "x"}}, "no setting of Box called MOOD; did you mean MODE?"),
        ({"values": {"MODE": "fast", "FIXED": "y"}}, "is the catalog's own value"),
        ({"values": {"MODE": {"secret": "gone"}}}, "the secret gone has no value; run: pulumi config set --secret"),
        ({**BOX, "userValues": {"bob": {}}}, "there is no user of this stack called bob"),
        ({**BOX, "userValues": {"alice": {"MODE": "fast"}}}, "has one value for everybody on this server; move it to"),
        ({**BOX, "userValues": {"alice": {"X-Kay": "a"}}}, "did you mean X-Key?"),
        ({**BOX, "access": {"users": ["bob"]}}, "there is no user of this stack called bob"),
        ({**BOX, "session": "shared"}, "servers.box.session: is for npx and uvx servers; Box is containerized"),
        ({**BOX, "constraints": ["a<2"]}, "is for uvx servers"),
        ({**BOX, "url": "https://a.b"}, "is for remote servers"),
        ({**BOX, "allowPrivateUpstream": {"reason": "because of that"}}, "is for remote servers"),
        ({**BOX, "resources": {"limits": {"memory": "32Mi"}}}, "the memory limit is less than the request"),
        ({**BOX, "resources": {"limits": {"cpu": "fast"}}}, "is not a quantity"),
    ],
)
def test_each_disagreement_over_a_hosted_server_has_its_message(server: dict[str, object], words: str) -> None:
    problems = wrong(HOSTED, servers={"box": server})
    assert any(words in problem for problem in problems), problems


def test_a_sensitive_value_in_clear_is_refused_and_never_shown() -> None:
    server = {"values": {"MODE": "fast", "TOKEN": "hunter2"}, "userValues": {"alice": {"X-Key": "hunter2"}}}
    problems = wrong(HOSTED, servers={"box": server})
    assert len([problem for problem in problems if "is sensitive and stands in clear in the stack" in problem]) == 2
    assert not any("hunter2" in problem for problem in problems)


def test_a_value_for_everybody_and_for_a_user_is_refused() -> None:
    server = {
        **BOX,
        "values": {"MODE": "fast", "X-Key": {"secret": "s"}},
        "userValues": {"alice": {"X-Key": {"secret": "s"}}},
    }
    assert any("has a value for everybody already" in problem for problem in wrong(HOSTED, servers={"box": server}))


def test_what_speaks_of_no_server_is_named() -> None:
    problems = wrong(HOSTED, servers={"box": BOX, "boxx": {}})
    assert any("there is no server of this stack called boxx; did you mean box?" in problem for problem in problems)


def test_a_bound_secret_needs_a_value_on_docker() -> None:
    bound = {**HOSTED, "env": [{"key": "T", "secretBinding": {"name": "s", "key": "k"}}]}
    assert any("Docker has none" in problem for problem in wrong(bound, servers={}))
    read(bound, servers={"box": {"values": {"T": {"secret": "s"}}}})


@pytest.mark.parametrize(
    ("entry", "server", "words"),
    [
        (remote(fixedURL="http://mcp-q-box:3000/mcp"), {}, "a host of this machine or a private network"),
        (remote(fixedURL="https://10.0.0.1/"), {}, "write servers.far.allowPrivateUpstream: {reason: ...}"),
        (remote(fixedURL="http://far.example/"), {}, "is reached by plain http"),
        (remote(hostname="*.far.example"), {}, "needs the URL of its server at *.far.example"),
        (remote(hostname="*.far.example"), {"url": "https://far.example/mcp"}, "the URL's host is not *.far.example"),
        (remote(hostname="far.example"), {"url": "https://far.example@evil.example/"}, "user name or password"),
        (REMOTE, {"url": "https://a.b"}, "has its URL in the catalog"),
        (REMOTE, {"egress": "none"}, "is for containerized and npx and uvx servers"),
        (
            {**remote(urlTemplate="${SITE}/mcp"), "env": [{"key": "SITE", "required": True}]},
            {"values": {"SITE": "https://169.254.169.254"}},
            "the URL of Far names",
        ),
    ],
)
def test_each_disagreement_over_a_remote_server_has_its_message(
    entry: dict[str, object], server: dict[str, object], words: str
) -> None:
    problems = wrong(entry, servers={"far": server})
    assert any(words in problem for problem in problems), problems


def test_a_private_upstream_is_reached_when_the_stack_gives_a_reason() -> None:
    server = {"allowPrivateUpstream": {"reason": "Our own server"}}
    config, (entry,) = read(remote(fixedURL="http://10.0.0.1/mcp"), servers={"far": server})
    assert upstream_url(entry, server_config(config, entry)) == "http://10.0.0.1/mcp"


def test_a_metadata_service_is_never_reached() -> None:
    server = {"allowPrivateUpstream": {"reason": "Our own server"}}
    assert wrong(remote(fixedURL="http://169.254.169.254/"), servers={"far": server})


def test_a_template_is_filled_with_the_stacks_values() -> None:
    entry = {**remote(urlTemplate="https://${SITE}.far.example/mcp"), "env": [{"key": "SITE", "required": True}]}
    config, (found,) = read(entry, servers={"far": {"values": {"SITE": "eu"}}})
    assert upstream_url(found, server_config(config, found)) == "https://eu.far.example/mcp"
