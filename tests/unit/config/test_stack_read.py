from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.catalog.parse import parsed
from components.config.load import stack_file, stack_values
from components.config.read import Stack, from_engine, from_file
from components.config.stack import Secret, SomeUsers, UnrestrictedEgress, Volume
from components.errors import Problems

ROOT = Path(__file__).resolve().parents[3]
CLOCK: dict[str, object] = {
    "name": "Clock",
    "entryKey": "clock",
    "serverUserType": "multiUser",
    "runtime": "uvx",
    "uvxConfig": {"package": "mcp-server-time==2026.10.19"},
    "env": [{"key": "TZ", "required": True}, {"key": "TOKEN", "sensitive": True}],
}
STACK: dict[str, object] = {
    "catalog": {"entries": [CLOCK]},
    "users": [{"login": "alice", "groups": ["ops"]}],
    "servers": {"clock": {"values": {"TZ": "UTC"}}},
}


def read(values: dict[str, object]) -> Stack:
    return stack_values(values, ROOT, ())


def wrong(values: dict[str, object]) -> list[str]:
    with pytest.raises(Problems) as caught:
        read(values)
    return [str(problem) for problem in caught.value]


def test_what_is_not_said_is_safe() -> None:
    config = read(STACK).config
    assert (config.public_url, config.listen.address) == ("http://127.0.0.1:8765", "127.0.0.1")
    assert (config.target, config.egress, config.access) == ("docker", "none", "everyone")
    clock = config.servers["clock"]
    assert clock.egress is None
    assert clock.allow_private_upstream is None
    assert clock.secrets_in_environment is None
    assert clock.secrets_in_arguments is None
    assert clock.install_at_start is None


def test_instances_have_bounds_and_a_server_may_have_a_word_of_its_own() -> None:
    config = read(STACK).config
    bounds = config.instances
    assert (bounds.total, bounds.per_user, bounds.starts_at_once, bounds.idle_seconds) == (200, 20, 4, 900)
    assert (config.servers["clock"].idle_seconds, config.servers["clock"].volume) == (None, None)
    found = read({**STACK, "instances": {"total": 3}, "servers": {"clock": {"volume": {"path": "/srv/notes"}}}}).config
    assert found.instances.total == 3, "the other bounds give way"
    assert found.servers["clock"].volume == Volume(path="/srv/notes")


def test_the_public_url_follows_the_port() -> None:
    assert read({**STACK, "listen": {"port": 9000}}).config.public_url == "http://127.0.0.1:9000"


def test_a_server_says_what_departs_from_the_defaults() -> None:
    server = {
        "values": {"TZ": "UTC", "TOKEN": {"secret": "clock-token"}},
        "egress": {"unrestricted": True, "reason": "Fetches time zone data"},
        "access": {"users": ["alice"], "groups": ["ops"]},
        "tools": {"allowed": ["get_current_time"]},
        "resources": {"limits": {"memory": "128Mi"}},
        "constraints": ["mcp<2", "anyio>=4,<5"],
        "installAtStart": {"reason": "No image can be built here"},
    }
    found = stack_values({**STACK, "servers": {"clock": server}}, ROOT, {"clock-token"}).config.servers["clock"]
    assert found.values["TOKEN"] == Secret(secret="clock-token")
    assert isinstance(found.egress, UnrestrictedEgress)
    assert found.access == SomeUsers(users=("alice",), groups=("ops",))
    assert found.tools.allowed == ("get_current_time",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "kubernetes"}, "target: Kubernetes can't be deployed to"),
        ({"target": "nomad"}, 'target: got "nomad"'),
        ({"publicUrl": "http://mcp.example.com"}, "http is for loopback only"),
        ({"publicUrl": "https://mcp.example.com/x"}, "and nothing more"),
        ({"publicUrl": "https://u:p@mcp.example.com"}, "and nothing more"),
        ({"listen": {"address": "0.0.0.0"}}, "plain http; give an https publicUrl"),
        ({"listen": {"address": "localhost"}}, "listen.address"),
        ({"listen": {"port": 0}}, "is less than 1"),
        ({"lisen": {}}, "lisen: is not a field known here; did you mean listen?"),
        ({"Listen": {}}, "did you mean listen?"),
        ({"users": [{"login": "Alice"}]}, "users[0].login"),
        ({"access": "nobody"}, "access"),
        ({"egress": "unrestricted"}, "egress"),
        ({"gateway": {"tokens": {"accessSeconds": 90_000}}}, "is more than 3600"),
        ({"images": {"local": [{"image": "a:1", "context": "../x"}]}}, "the folder is outside the project"),
        (
            {"images": {"local": [{"image": "a:1", "context": "x"}, {"image": "a:1", "context": "y"}]}},
            'images.local[1].image: got "a:1": stands there twice',
        ),
        ({"images": {"node": "latest"}}, "images.node"),
        ({"network": {"subnets": "8.8.0.0/16"}}, "not a private one"),
        ({"network": {"subnets": "10.0.0.0/30"}}, "not a private one"),
        ({"network": {"subnets": "10.0.0.1/16"}}, "network.subnets"),
        ({"instances": {"total": 0}}, "instances.total: got 0: is less than 1"),
        ({"instances": {"startsAtOnce": 65}}, "instances.startsAtOnce: got 65: is more than 64"),
        ({"instances": {"idleSeconds": 4}}, "instances.idleSeconds: got 4: is less than 5"),
        ({"instances": {"total": 5, "perUser": 9}}, "instances: perUser is 9 and total 5: lower it"),
        ({"instances": {"peruser": 9}}, "did you mean perUser?"),
        ({"instances": {"total": "many"}}, "instances.total"),
        ({"catalog": {"entries": "clock"}}, "catalog.entries"),
        ({"catalog": {"entries": [7]}}, "catalog.entries"),
        ({"catalog": {"entries": [{"name": "A", "runtime": "npx"}]}}, "A: catalog.entries[0].npxConfig: is missing"),
        ({"catalog": {"include": ["gone"]}}, "catalog.include[0]: got gone: does not exist"),
        ({"servers": []}, "servers: is not a mapping"),
    ],
)
def test_each_rule_of_the_stack_has_its_message(change: dict[str, object], words: str) -> None:
    problems = wrong({**STACK, **change})
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"egress": "unrestricted"}, "servers.clock.egress"),
        ({"egress": {"unrestricted": True}}, "servers.clock.egress.reason: is missing"),
        ({"egress": {"unrestricted": True, "reason": "x"}}, "write at least 8 characters"),
        ({"values": {"TZ": 3}}, "write a text (in quotes)"),
        ({"values": {"TZ": {"secure": "v1:x"}}}, "put it under mcp-hosting:secrets"),
        ({"user": "0:0"}, "servers.clock.user"),
        ({"constraints": ["--index-url=x"]}, "is not a package's name with a version range"),
        ({"isolation": "kata"}, "servers.clock.isolation"),
        ({"secretsInArguments": {}}, "servers.clock.secretsInArguments.reason: is missing"),
        ({"egres": "none"}, "did you mean egress?"),
        ({"volume": "/data"}, 'servers.clock.volume: got "/data": is neither none nor a mapping such as {path: /data}'),
        ({"volume": {}}, "servers.clock.volume.path: is missing"),
        ({"volume": {"path": "data"}}, 'volume.path: got "data": is not an absolute path'),
        ({"volume": {"path": "/"}}, "is not a plain path"),
        ({"volume": {"path": "/data/"}}, "is not a plain path"),
        ({"volume": {"path": "/var"}}, "would hide /var/run"),
        ({"volume": {"path": "/run/mcp/files"}}, "would hide /run"),
        ({"idleSeconds": 604_801}, "idleSeconds: got 604801: is more than 604800"),
    ],
)
def test_each_rule_of_a_server_has_its_message(server: dict[str, object], words: str) -> None:
    problems = wrong({**STACK, "servers": {"clock": server}})
    assert any(words in problem for problem in problems), problems


def test_problems_of_stack_and_catalog_come_together_with_lines(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: A\nruntime: npx\n")
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text(
        """\
config:
  mcp-hosting:publicUrl: http://x.example
  docker:host: unix:///run/docker.sock
  mcp-hosting:catalog:
    include: [a.yaml]
    entries:
      - name: B
        runtime: npx
        npxConfig: {pakage: b}
  mcp-hosting:secrets:
    key: {secure: v1:abc}
"""
    )
    with pytest.raises(Problems) as caught:
        stack_file(path, tmp_path)
    found = [(problem.file, problem.line, problem.path) for problem in caught.value]
    assert found == [
        ("Pulumi.x.yaml", 2, "publicUrl"),
        ("Pulumi.x.yaml", 9, "catalog.entries[0].npxConfig.pakage"),
        ("Pulumi.x.yaml", 9, "catalog.entries[0].npxConfig.package"),
        ("a.yaml", 1, "npxConfig"),
    ]


def test_names_of_secrets_are_read_from_a_file_and_values_are_not() -> None:
    text = "config:\n  mcp-hosting:secrets: {key: {secure: v1:abc}}\n  mcp-hosting:passwords: {alice: {secure: v1:x}}\n"
    values = from_file(parsed(text, file="a.yaml"))
    assert (values.secrets, values.passwords) == (frozenset({"key"}), frozenset({"alice"}))
    assert values.document.data == {}


def test_the_engines_texts_become_plain_values() -> None:
    assert from_engine({"access": "everyone", "users": '[{"login": "a"}]', "listen": None, "secrets": "{}"}) == {
        "access": "everyone",
        "users": [{"login": "a"}],
    }


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [*STACK, "target", "publicUrl", "listen", "access", "egress", "gateway", "images", "network", "instances"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["values", "port", "secret", "login", "clock", "reason"]), inner)
            ),
            max_leaves=8,
        ),
    )
)
def test_any_values_give_a_stack_or_problems(values: dict[str, object]) -> None:
    try:
        stack = read(values)
    except Problems as problems:
        stack, count = None, len(problems.problems)
    else:
        count = 0
    assert (stack is None) == (count > 0)
