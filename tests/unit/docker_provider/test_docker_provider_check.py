"""Check: what is refused, and how; what is filled in."""

from __future__ import annotations

from typing import Any

import pytest
from docker_provider.check import DEFAULTS, autoname, checked, failures
from docker_provider.container import Container
from docker_provider.container_fields import CONTAINER
from docker_provider.image import Image
from docker_provider.network import Network
from docker_provider.properties import UNKNOWN, Secret, plain

CONTAINER_TYPE, IMAGE, NETWORK = Container(), Image(), Network()


def problems(inputs: dict[str, Any]) -> dict[str, str]:
    return {failure.property: failure.reason for failure in failures(CONTAINER, inputs)}


def combined(inputs: dict[str, Any]) -> dict[str, str]:
    return {failure.property: failure.reason for failure in CONTAINER_TYPE.failures(plain(inputs))}


def test_every_unsupported_property_is_named_however_deep() -> None:
    found = problems({"image": "i", "gpus": "all", "mounts": [{"type": "bind", "target": "/a", "consistency": "x"}]})
    assert set(found) == {"gpus", "mounts[0].consistency"}
    assert "not supported" in found["gpus"]


def test_missing_and_misshapen_properties_are_named_all_at_once() -> None:
    found = problems({"memory": "64", "envs": "A=b", "labels": [{"label": "a"}], "restart": "sometimes", "tty": 1})
    assert set(found) == {"image", "memory", "envs", "labels[0].value", "restart", "tty"}


def test_a_failure_never_shows_a_value() -> None:
    found = problems({"image": "i", "restart": Secret("hunter2"), "envs": [Secret(5)]})
    assert set(found) == {"restart", "envs[0]"}
    assert "hunter2" not in str(found)


def test_unknown_values_pass() -> None:
    assert problems({"image": UNKNOWN, "envs": UNKNOWN, "memory": UNKNOWN, "labels": [UNKNOWN]}) == {}
    assert combined({"image": UNKNOWN, "uploads": [{"file": UNKNOWN, "content": UNKNOWN}], "readOnly": True}) == {}


def test_an_upload_into_a_read_only_root_is_refused_with_the_remedy() -> None:
    upload = {"file": "/etc/mcp/runner.json", "content": "{}"}
    found = combined({"readOnly": True, "uploads": [upload]})
    assert "give the container a writable volume at /etc/mcp" in found["uploads[0].file"]
    assert combined({"readOnly": True, "uploads": [upload], "volumes": [{"containerPath": "/etc/mcp"}]}) == {}
    read_only = {"containerPath": "/etc/mcp", "volumeName": "v", "readOnly": True}
    assert combined({"readOnly": True, "uploads": [upload], "volumes": [read_only]})
    assert combined({"readOnly": False, "uploads": [upload]}) == {}


@pytest.mark.parametrize("contents", [{}, {"content": "a", "contentBase64": "YQ=="}, {"contentBase64": "?"}])
def test_an_upload_has_one_content(contents: dict[str, str]) -> None:
    assert combined({"uploads": [{"file": "/f", **contents}]})


def test_combinations_that_cannot_work_are_refused() -> None:
    assert "networkMode" in combined({"networkMode": "none", "networksAdvanced": [{"name": "n"}]})
    assert "logs" in combined({"logs": True})
    assert "wait" in combined({"wait": True, "start": False})


def test_defaults_are_those_of_the_real_plugin_and_are_listed() -> None:
    inputs = checked(CONTAINER, {"image": "i", "restart": "always"}, {}, autoname="web-1234567")
    assert (inputs["mustRun"], inputs["start"], inputs["attach"], inputs["restart"]) == (True, True, False, "always")
    assert (inputs["name"], inputs["waitTimeout"], inputs["removeVolumes"]) == ("web-1234567", 60, True)
    assert {"name", "mustRun", "waitTimeout"} <= set(inputs[DEFAULTS])
    assert "restart" not in inputs[DEFAULTS]


def test_an_automatic_name_stays_and_a_given_one_wins() -> None:
    first = checked(CONTAINER, {"image": "i"}, {}, autoname="web-1")
    assert checked(CONTAINER, {"image": "j"}, first, autoname="web-2")["name"] == "web-1"
    assert checked(CONTAINER, {"image": "j", "name": "mine"}, first, autoname="web-2")["name"] == "mine"
    given = checked(CONTAINER, {"image": "j", "name": "mine"}, {}, autoname="web-2")
    assert checked(CONTAINER, {"image": "j"}, given, autoname="web-3")["name"] == "web-3"


def test_automatic_names() -> None:
    assert autoname("web", b"seed") == autoname("web", b"seed")
    assert autoname("web", b"seed") != autoname("web", b"other")
    assert autoname("web", b"").startswith("web-")
    assert len(autoname("web", b"")) == len("web-") + 7


def test_an_image_that_would_be_pushed_is_refused() -> None:
    assert [failure.property for failure in IMAGE.failures({"imageName": "i"})] == ["skipPush"]
    assert list(IMAGE.failures({"imageName": "i", "skipPush": True})) == []
    buildkit = {"imageName": "i", "skipPush": True, "build": {"builderVersion": "BuilderBuildKit"}}
    assert [failure.property for failure in failures(IMAGE.fields, buildkit)] == ["build.builderVersion"]


def test_a_subnet_must_be_one() -> None:
    configs = {"ipamConfigs": [{"subnet": "10.0.0.1/29"}, {"subnet": "10.0.0.8/29"}, {"subnet": UNKNOWN}]}
    assert [failure.property for failure in NETWORK.failures(configs)] == ["ipamConfigs[0].subnet"]
