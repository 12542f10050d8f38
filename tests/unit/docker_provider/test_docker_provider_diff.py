"""Diff: what counts as a change, where, and what it does to the resource."""

from __future__ import annotations

from typing import Any

import pytest
from docker_provider.container_fields import CONTAINER
from docker_provider.diff import Edit, difference
from docker_provider.image import IMAGE
from docker_provider.network import NETWORK
from docker_provider.properties import UNKNOWN, Secret
from hypothesis import given
from hypothesis import strategies as st

BASE: dict[str, Any] = {
    "name": "web",
    "image": "i:1",
    "command": ["serve", "--port", "80"],
    "envs": ["A=1", "B=2"],
    "labels": [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}],
    "tmpfs": {"/tmp": "rw"},
    "uploads": [{"file": "/a", "content": Secret("one")}],
    "capabilities": {"drops": ["ALL"]},
    "memory": 64,
}


def test_equal_inputs_do_not_differ() -> None:
    assert not difference(CONTAINER, BASE, dict(BASE))


@pytest.mark.parametrize(
    ("changes", "paths", "replaces"),
    [
        ({"memory": 96}, {"memory": Edit.UPDATE}, ()),
        ({"cpus": "0.5"}, {"cpus": Edit.ADD}, ()),
        ({"mustRun": False, "waitTimeout": 5}, {"mustRun": Edit.UPDATE, "waitTimeout": Edit.UPDATE}, ()),
        ({"image": "i:2"}, {"image": Edit.UPDATE}, ("image",)),
        ({"image": UNKNOWN}, {"image": Edit.UPDATE}, ("image",)),
        ({"command": ["serve", "--port", "81"]}, {"command[2]": Edit.UPDATE}, ("command",)),
        ({"command": ["serve"]}, {"command[1]": Edit.DELETE, "command[2]": Edit.DELETE}, ("command",)),
        ({"envs": ["A=1"]}, {"envs": Edit.UPDATE}, ("envs",)),
        ({"envs": [UNKNOWN, "B=2"]}, {"envs[0]": Edit.UPDATE}, ("envs",)),
        ({"tmpfs": {"/tmp": "ro"}}, {'tmpfs["/tmp"]': Edit.UPDATE}, ("tmpfs",)),
        ({"capabilities": {"drops": ["ALL"], "adds": ["CHOWN"]}}, {"capabilities.adds": Edit.ADD}, ("capabilities",)),
        ({"uploads": [{"file": "/a", "content": Secret("two")}]}, {"uploads": Edit.UPDATE}, ("uploads",)),
        ({"name": "other"}, {"name": Edit.UPDATE}, ("name",)),
    ],
)
def test_changes(changes: dict[str, Any], paths: dict[str, Edit], replaces: tuple[str, ...]) -> None:
    found = difference(CONTAINER, BASE, BASE | changes)
    assert (found.edits, found.replaces) == (paths, replaces)


def test_a_property_that_goes_is_a_deletion() -> None:
    found = difference(CONTAINER, BASE, {key: value for key, value in BASE.items() if key != "memory"})
    assert found.edits == {"memory": Edit.DELETE}
    assert found.replaces == ("memory",)  # Docker cannot lift a limit from a running container


@given(st.permutations(BASE["envs"]), st.permutations(BASE["labels"]))
def test_order_means_nothing_where_docker_knows_none(envs: list[str], labels: list[dict[str, str]]) -> None:
    assert not difference(CONTAINER, BASE, BASE | {"envs": envs, "labels": labels})


def test_absent_equals_default_and_empty() -> None:
    stated = {"mustRun": True, "restart": "no", "networkMode": "bridge", "dns": [], "sysctls": {}}
    assert not difference(CONTAINER, {"image": "i"}, {"image": "i", **stated})
    port = [{"internal": 80}]
    assert not difference(CONTAINER, {"ports": port}, {"ports": [{"internal": 80, "ip": "0.0.0.0", "protocol": "tcp"}]})


def test_a_value_that_became_secret_but_stayed_equal_is_no_change() -> None:
    assert not difference(CONTAINER, {"user": "1000"}, {"user": Secret("1000")})


def test_networks_are_replaced_and_images_are_built_again() -> None:
    assert difference(NETWORK, {"internal": False}, {"internal": True}).replaces == ("internal",)
    built = difference(IMAGE, {"build": {"contextDigest": "a"}}, {"build": {"contextDigest": "b"}})
    assert (built.edits, built.replaces) == ({"build.contextDigest": Edit.UPDATE}, ())
