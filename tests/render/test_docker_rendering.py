"""What holds for every rendering: hardening, no secret value, and changes that stay where they were made."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from components import hardening
from components.plan.model import HostingPlan
from components.plan.text import Text, secrets_of
from components.render.docker.rendering import render
from components.render.docker.spec import ContainerSpec, DockerRendering, Part
from tests.render.stack import full, sources
from tests.unit.plan.declared import NPX, REMOTE, UVX, ZONE, changed, planned

AS_ROOT = ("mcp-test-gateway-launcher", "mcp-test-gateway-templates")
"""The launcher and what hands it its templates: root without capabilities and without a network."""
NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True), unique=True, min_size=1, max_size=8)
RUNTIMES = st.sampled_from([NPX, REMOTE])


def rendered(hosting: HostingPlan) -> DockerRendering:
    return render(hosting, sources())


def parts(rendering: DockerRendering) -> dict[str, Part]:
    return {part.id: part for part in rendering.parts}


def containers(rendering: DockerRendering) -> dict[str, ContainerSpec]:
    return {container.name: container for part in rendering.parts for container in part.containers}


def named(names: list[str]) -> list[dict[str, Any]]:
    kinds = itertools.cycle((NPX, REMOTE))
    usable = [name for name in names if not name.startswith("gateway") and not name.endswith(("-delivery", "-ready"))]
    return [changed(kind, entryKey=name) for name, kind in zip(usable, kinds, strict=False)]


def test_every_container_is_hardened() -> None:
    for name, container in containers(rendered(full())).items():
        assert container.cap_drop == ("ALL",), name
        assert "no-new-privileges:true" in container.security_opts, name
        assert container.memory_mib > 0, name
        assert container.cpus > 0, name
        assert container.processes > 0, name
        # A container that holds files never runs, and delivery has to take a file before it starts.
        assert container.read_only or container.one_shot or not container.start, name
        assert container.user != "0:0", name
        assert not container.user.startswith("0:") or name in AS_ROOT, name
        for options in container.tmpfs.values():
            assert {"noexec", "nosuid", "nodev"} <= set(options.split(",")), name


def test_only_the_launcher_has_something_of_the_hosts_and_it_has_no_network() -> None:
    for name, container in containers(rendered(full())).items():
        from_host = [mount.source for mount in container.mounts if mount.source.startswith("/")]
        assert from_host == (["/var/run/docker.sock"] if name == "mcp-test-gateway-launcher" else []), name
    assert containers(rendered(full()))["mcp-test-gateway-launcher"].network_mode == "none"


def test_a_server_is_alone_on_a_network_without_a_way_out() -> None:
    time = parts(rendered(full()))["time"]
    (network,) = time.networks
    assert network.internal
    assert network.options == hardening.INTERNAL_NETWORK_OPTIONS
    assert network.labels["mcp-hosting.role"] == "server"
    main = time.containers[-1]
    assert [each.network for each in main.networks] == [network.name]
    assert main.dns == hardening.NO_RESOLVER
    subnet = ipaddress.IPv4Network(network.subnet)
    addresses = [str(address) for address in subnet.hosts()][:3]
    assert addresses == [network.gateway, main.networks[0].address, network.labels["mcp-hosting.edge-address"]]


def test_a_departure_is_rendered_and_labelled() -> None:
    everything, box = parts(rendered(full()))["everything"], parts(rendered(full()))["box"]
    assert not everything.networks[0].internal
    assert everything.containers[-1].dns == ()
    assert everything.containers[-1].labels["mcp-hosting.deviations"] == "unrestricted egress"
    assert box.containers[0].runtime == "runsc"


def test_a_container_of_somebody_elses_is_awaited_from_its_own_network() -> None:
    box, ready = parts(rendered(full()))["box"].containers
    assert ready.network_of == box.name
    assert ready.one_shot
    assert ready.command == ("3000", "60", "/mcp")


def test_files_come_from_a_container_that_never_runs_and_are_read_only() -> None:
    delivery, main = parts(rendered(full()))["time"].containers
    assert not delivery.start
    assert delivery.network_mode == "none"
    assert main.folders_of == delivery.name
    assert not main.uploads
    assert [upload.path for upload in delivery.uploads] == ["/etc/mcp/runner.json", "/run/mcp/secret-env.json"]
    runner = delivery.uploads[0].content
    assert isinstance(runner, dict)
    assert runner["secretEnvFile"] == "/run/mcp/secret-env.json"
    assert not list(secrets_of(runner)), "secrets are in a file of their own"


def test_the_configuration_is_delivered_last() -> None:
    rendering = rendered(full())
    (delivery,) = rendering.parts[-1].containers
    running = {container.name for container in containers(rendering).values() if container.start}
    assert set(delivery.after) == running - {delivery.name}
    assert delivery.one_shot


def test_images_come_after_those_they_are_based_on() -> None:
    seen: set[str] = set()
    for image in rendered(full()).images:
        assert set(image.based_on) <= seen
        seen.add(image.name)
        assert image.name.rpartition(":")[2] in image.context


def test_an_images_name_changes_with_each_of_its_inputs() -> None:
    hosting = planned([UVX], servers=ZONE)
    before = {image.name for image in render(hosting, sources()).images}
    for path in ("templates/images/uvx.Dockerfile.j2", "images/runner/requirements.txt"):
        edited = {**sources(), path: sources()[path] + b"# edited\n"}
        after = {image.name for image in render(hosting, edited).images}
        assert {name for name in after - before if "uvx" in name}, path
    assert {image.name for image in render(hosting, sources()).images} == before


def test_what_a_catalog_says_cannot_add_a_line_to_a_dockerfile() -> None:
    hosting = planned([UVX], servers={"time": {**ZONE["time"], "constraints": ["mcp<2"]}})
    (image,) = [image for image in rendered(hosting).images if "/uvx-" in image.name]
    lines = image.files["Dockerfile"].decode().splitlines()
    assert {line.split(" ")[0] for line in lines if line} == {"FROM", "USER", "RUN", "COPY"}
    (install,) = [line for line in lines if "pip" in line and "install" in line]
    assert json.loads(install.removeprefix("RUN "))[-1] == "mcp-server-time==2026.10.19"


@settings(max_examples=10, deadline=None)
@given(NAMES)
def test_names_subnets_and_uids_are_unique(names: list[str]) -> None:
    rendering = rendered(planned(named(names)))
    made = [container.name for part in rendering.parts for container in part.containers]
    assert len(set(made)) == len(made)
    subnets = [ipaddress.IPv4Network(network.subnet) for part in rendering.parts for network in part.networks]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(subnets, 2))


@settings(max_examples=10, deadline=None)
@given(NAMES, st.randoms(use_true_random=False))
def test_the_order_of_the_catalog_changes_nothing(names: list[str], random: Any) -> None:
    entries = named(names)
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert rendered(planned(entries)) == rendered(planned(shuffled))


@settings(max_examples=10, deadline=None)
@given(NAMES)
def test_adding_an_entry_leaves_every_other_part_alone(names: list[str]) -> None:
    entries = named(names)
    before = parts(rendered(planned(entries[:-1])))
    after = parts(rendered(planned(entries)))
    kept = {identifier for identifier in before if identifier != "configuration"}
    moved = {identifier for identifier in kept if before[identifier] != after[identifier]}
    # Two ids that meet in one slot are told apart by their order: that is all that may ever move.
    assert len(moved) <= 1
    assert before["gateway"] == after["gateway"]


def test_a_change_of_one_entry_changes_its_part_and_the_configuration_only() -> None:
    before = parts(rendered(planned([NPX, UVX], servers=ZONE)))
    after = parts(rendered(planned([NPX, UVX], servers={"time": {"values": {"LOCAL_TIMEZONE": "Europe/Rome"}}})))
    assert {name for name in before if before[name] != after[name]} == {"time"}


def test_no_secret_is_anywhere_but_as_a_reference() -> None:
    def texts(value: object) -> list[Text]:
        if isinstance(value, Text):
            return [value]
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return [text for each in dataclasses.fields(value) for text in texts(getattr(value, each.name))]
        if isinstance(value, dict):
            return [text for item in value.values() for text in texts(item)]
        if isinstance(value, (list, tuple)):
            return [text for item in value for text in texts(item)]
        return []

    names = {secret.name for text in texts(rendered(full())) for secret in text.secrets}
    assert names == {"alice", "bob", "time-token", "box-license", "alice-key", "alice-notes", "notes-team"}
