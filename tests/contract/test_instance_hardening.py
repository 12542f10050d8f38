"""An instance is what `pulumi up` would have made of the same server for everyone: compared as the engine gets it."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pulumi
import pytest
from docker_provider.container_body import create_body
from mcp_launcher import bodies
from mcp_launcher.allocation import Place
from mcp_launcher.creation import container_allowed, network_allowed
from mcp_launcher.known import Known
from mcp_launcher.owned import Key, Owned, instance_name
from mcp_launcher.placeholders import fill
from mcp_launcher.state import EDGE_ADDRESS_LABEL
from mcp_launcher.templates import Template, Templates

from components.deploy.resources import Resources
from components.render.docker.rendering import render
from tests.contract.test_rendered_documents import VALUES
from tests.contract.test_templates_document import delivered, read
from tests.render.stack import sources
from tests.unit.deploy.recorded import record, unwrapped
from tests.unit.plan.declared import CONTAINER, NPX, changed, planned

KEY = Key("subject", "0b0cf1d0-6f0e-4f7e-9d3c-0d4cf6a1c001")
PLACE = Place(IPv4Network("10.201.128.8/29"))
UID = 30_001
FREE = {"egress": {"unrestricted": True, "reason": "shows the same for a server with the internet"}}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bridged": (NPX, {}),
    "with the internet": (NPX, FREE),
    "within gVisor": (NPX, {"isolation": "gvisor"}),
    "installing at start": (NPX, {**FREE, "installAtStart": {"reason": "no image can be built here"}}),
    "speaking HTTP itself": (CONTAINER, {}),
    "with other amounts": (
        NPX,
        {"resources": {"limits": {"memory": "300Mi", "cpu": "250m"}, "requests": {"memory": "100Mi", "cpu": "100m"}}},
    ),
}


def for_everyone(entry: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Container and network of a multi-user server, as the provider sends them, and its uid."""
    hosting = planned([changed(entry, serverUserType="multiUser", entryKey="subject")], servers={"subject": config})
    rendering = render(hosting, sources())
    part = next(each for each in rendering.parts if each.id == "subject")

    def program() -> None:
        made = Resources(values=VALUES)
        parent = pulumi.ComponentResource("test:index:Part", "subject")
        for image in rendering.images:
            made.image(image)
        for network in part.networks:
            made.network(network, parent)
        for container in part.containers:
            made.container(container, parent)

    recorded = {(each.token, each.name): unwrapped(dict(each.inputs)) for each in record(program)}
    name = "mcp-test-subject"
    container = recorded["docker:index/container:Container", name]
    return create_body(container), recorded["docker:index/network:Network", name], int(container["user"].split(":")[0])


def for_one(entry: dict[str, Any], config: dict[str, Any]) -> tuple[Templates, Template]:
    """The template of the same server as single-user."""
    hosting = planned([changed(entry, serverUserType="singleUser", entryKey="subject")], servers={"subject": config})
    templates = read(delivered(hosting))
    return templates, templates.servers["subject"]


def without_zeros(config: dict[str, Any]) -> dict[str, Any]:
    """What is asked for: an empty list, false or nothing is the engine's default."""
    return {name: value for name, value in config.items() if value}


@pytest.mark.parametrize("case", CASES)
def test_an_instance_is_confined_as_a_server_for_everyone_is(case: str) -> None:
    shared, _, shared_uid = for_everyone(*CASES[case])
    _, template = for_one(*CASES[case])
    body = bodies.instance("test", template, KEY, PLACE, (UID, UID), fill(template, {}), "")
    theirs, ours = without_zeros(shared["HostConfig"]), without_zeros(body["HostConfig"])
    # The engine's own default, said outright; set by the launcher afterwards where Pulumi makes the container.
    assert ours.pop("PidsLimit") == int(shared["Labels"]["mcp-hosting.processes"])
    assert theirs.pop("RestartPolicy")["Name"] == "unless-stopped"
    assert ours.pop("RestartPolicy")["Name"] == "no"
    assert ours.pop("NetworkMode") == instance_name(template.name, KEY.subject)
    assert theirs.pop("NetworkMode") == "mcp-test-subject"
    # The configuration that a server for everyone is given in files comes on an instance's standard input.
    theirs.pop("VolumesFrom", None)
    tmpfs = {path: options.replace(str(shared_uid), str(UID)) for path, options in theirs.pop("Tmpfs").items()}
    assert ours.pop("Tmpfs") == tmpfs
    assert ours == theirs
    assert body["User"] == f"{UID}:{UID}"


@pytest.mark.parametrize("case", CASES)
def test_an_instances_network_is_that_of_a_server_for_everyone(case: str) -> None:
    _, shared, _ = for_everyone(*CASES[case])
    templates, template = for_one(*CASES[case])
    body = bodies.network("test", template, KEY, PLACE)
    assert (body["Internal"], body["Options"]) == (shared["internal"], shared["options"])
    assert body["Driver"] == shared["driver"] == "bridge"
    (config,) = body["IPAM"]["Config"]
    (theirs,) = shared["ipamConfigs"]
    own, other = IPv4Network(config["Subnet"]), IPv4Network(theirs["subnet"])
    assert own.prefixlen == other.prefixlen
    assert (str(own[1]), str(other[1])) == (config["Gateway"], theirs["gateway"])
    assert body["Labels"][EDGE_ADDRESS_LABEL] == str(own[3])
    assert network_allowed(body, Known(templates=templates))


@pytest.mark.parametrize("case", CASES)
def test_the_second_opinion_agrees_with_the_body(case: str) -> None:
    templates, template = for_one(*CASES[case])
    name = instance_name(template.name, KEY.subject)
    network = bodies.network("test", template, KEY, PLACE)
    known = Known(
        templates=templates,
        networks={"n" * 64: Owned(id="n" * 64, name=name, key=KEY, role="instance", labels=network["Labels"])},
    )
    body = bodies.instance("test", template, KEY, PLACE, (UID, UID), fill(template, {}), "ab12")
    assert container_allowed(name, body, known)
    assert not container_allowed(name, {**body, "Image": "sha256:" + "f" * 64}, known)
