"""The whole program without an engine: which resources it asks for, and that every secret is wrapped."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest
from argon2 import PasswordHasher

from components.deploy.secret_values import SecretValues
from components.deploy.stack import deploy
from components.plan.model import HostingPlan
from components.render.docker.rendering import render
from tests.render.stack import full, sources
from tests.unit.deploy.recorded import Recorded, outside_secrets, record, unwrapped

PASSWORDS = {"alice": "first-password-of-alice", "bob": "first-password-of-bob"}
SECRETS = {
    "time-token": "value-of-time",
    "box-license": "value-of-box",
    "alice-key": "value-of-alice",
    "notes-team": "value-of-notes",
    "alice-notes": "value-of-alices-notes",
}
ROOT = Path(__file__).parents[3]
CONTAINER = "docker:index/container:Container"


def values() -> SecretValues:
    return SecretValues(stack="test", secrets=SECRETS, passwords=PASSWORDS)


def deployed(hosting: HostingPlan, folder: Path) -> dict[str, Recorded]:
    resources = record(lambda: deploy(render(hosting, sources()), values(), folder))
    return {f"{each.token.rpartition(':')[2]} {each.name}": each for each in resources}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recorded]:
    return deployed(full(), tmp_path_factory.mktemp("project"))


def test_every_container_that_was_rendered_is_asked_for(resources: dict[str, Recorded]) -> None:
    wanted = {
        f"Container {container.name}" for part in render(full(), sources()).parts for container in part.containers
    }
    assert {name for name in resources if name.startswith("Container ")} == wanted


def test_no_secret_value_is_bare(resources: dict[str, Recorded]) -> None:
    bare = json.dumps([outside_secrets(dict(each.inputs)) for each in resources.values()])
    assert "[secret]" in bare
    for value in (*SECRETS.values(), *PASSWORDS.values(), "$argon2id$"):
        assert value not in bare, value


def test_secrets_reach_what_needs_them_and_nothing_else(resources: dict[str, Recorded]) -> None:
    holders = {
        value: {name for name, each in resources.items() if value in json.dumps(unwrapped(dict(each.inputs)))}
        for value in SECRETS.values()
    }
    assert holders == {
        "value-of-time": {"Container mcp-test-time-delivery"},
        "value-of-box": {"Container mcp-test-box"},
        "value-of-alice": {"Container mcp-test-gateway-delivery"},
        "value-of-notes": {"Container mcp-test-gateway-delivery"},
        "value-of-alices-notes": {"Container mcp-test-gateway-delivery"},
    }


def document(resources: dict[str, Recorded]) -> dict[str, Any]:
    (upload,) = unwrapped(dict(resources["Container mcp-test-gateway-delivery"].inputs))["uploads"]
    found: dict[str, Any] = json.loads(upload["content"])
    return found


def test_the_document_holds_hashes_that_the_passwords_fit(resources: dict[str, Recorded]) -> None:
    for user in document(resources)["users"]:
        assert PasswordHasher().verify(user["passwordHash"], PASSWORDS[user["login"]])


def test_what_the_stack_declares_for_a_user_goes_to_the_gateway_as_it_is(resources: dict[str, Recorded]) -> None:
    servers = {each["id"]: each for each in document(resources)["servers"]}
    assert servers["far"]["userValues"] == {"alice": {"X-API-KEY": "value-of-alice"}}
    assert servers["far"]["userSettings"][0]["prefix"] == "Key "
    assert servers["notes"]["userValues"] == {"alice": {"REGION": "eu", "TOKEN": "value-of-alices-notes"}}


def test_a_prefix_is_put_before_a_secret_of_the_stack_once(resources: dict[str, Recorded]) -> None:
    notes = next(each for each in document(resources)["servers"] if each["id"] == "notes")
    assert list(notes["instance"]["secrets"].values()) == ["team-value-of-notes"]


def templates(resources: dict[str, Recorded]) -> dict[str, Any]:
    """What is uploaded, which no wrapping as a secret hides: there is nothing secret in it."""
    (upload,) = dict(resources["Container mcp-test-gateway-templates"].inputs)["uploads"]
    found: dict[str, Any] = json.loads(upload["content"])
    return found


def test_templates_name_images_by_the_ids_that_the_engine_gave(resources: dict[str, Recorded]) -> None:
    found = templates(resources)
    images = {each["id"]: each["image"] for each in found["servers"]}
    assert images["desk"] == "sha256:example.org/desk:2.0"
    assert images["notes"].startswith("sha256:mcp-hosting/npx-notes-1-0-0:")
    assert found["ready"]["image"].startswith("sha256:mcp-hosting/python:")
    assert {each["id"] for each in found["servers"]} == {"desk", "notes"}


def test_a_stack_shows_each_kind_of_server_as_a_component(resources: dict[str, Recorded]) -> None:
    assert {
        "Gateway gateway",
        "MultiUserServer time",
        "SingleUserServer notes",
        "SingleUserServer desk",
        "RemoteServer far",
        "Templates templates",
        "Configuration configuration",
    } <= set(resources)


def test_the_launcher_has_time_to_remove_all_instances(resources: dict[str, Recorded]) -> None:
    assert resources["Container mcp-test-gateway-launcher"].inputs["destroyGraceSeconds"] == 90


def test_images_of_single_user_servers_are_there_before_anybody_uses_them(resources: dict[str, Recorded]) -> None:
    assert "RemoteImage example.org/desk:2.0" in resources
    assert any(name.startswith("Image mcp-hosting/npx-notes-1-0-0:") for name in resources)
    assert not any("mcp-test-notes" in name or "mcp-test-desk" in name for name in resources)


def test_the_same_stack_gives_the_same_inputs(resources: dict[str, Recorded], tmp_path: Path) -> None:
    again = deployed(full(), tmp_path)
    assert {name: each.inputs for name, each in again.items()} == {
        name: each.inputs for name, each in resources.items()
    }


def test_the_engine_is_told_the_limits(resources: dict[str, Recorded]) -> None:
    inputs = resources["Container mcp-test-time"].inputs
    assert inputs["readOnly"] is True
    assert inputs["memory"] == inputs["memorySwap"] == 1024
    assert inputs["capabilities"] == {"drops": ["ALL"]}
    assert inputs["ulimits"] == [{"name": "nproc", "soft": 1024, "hard": 1024}]
    assert inputs["dns"] == ["127.0.0.1"]
    assert {"fromContainer": "mcp-test-time-delivery:ro"} in inputs["volumes"]
    assert inputs["wait"] is True
    delivery = resources["Container mcp-test-time-delivery"].inputs
    assert (delivery["start"], delivery["mustRun"]) == (False, False)


def test_no_containers_output_fills_the_disk(resources: dict[str, Recorded]) -> None:
    containers = [each for each in resources.values() if each.token == CONTAINER]
    assert containers
    for each in containers:
        assert each.inputs["logDriver"] == "json-file", each.name
        assert each.inputs["logOpts"] == {"max-size": "10m", "max-file": "5"}, each.name


def test_contexts_are_written_once_and_hold_nothing_else(tmp_path: Path) -> None:
    deployed(full(), tmp_path)
    folder = next(folder for folder in (tmp_path / "build" / "images").iterdir() if folder.name.startswith("builder-"))
    (folder / "left-over").write_text("old")
    before = (folder / "Dockerfile").stat().st_mtime_ns
    deployed(full(), tmp_path)
    assert not (folder / "left-over").exists()
    assert (folder / "Dockerfile").stat().st_mtime_ns == before


CONFIG = {
    "mcp-hosting:users": json.dumps([{"login": "alice"}]),
    "mcp-hosting:catalog": json.dumps({"include": ["stacks/catalogs/quickstart/everything.yaml"]}),
    "mcp-hosting:passwords": json.dumps({"alice": PASSWORDS["alice"]}),
}


def run_program() -> None:
    runpy.run_path(str(ROOT), run_name="__main__")


def test_the_program_runs_from_config_to_outputs() -> None:
    resources = record(run_program, CONFIG)
    names = {each.name for each in resources}
    assert {"gateway", "everything", "configuration", "mcp-test-everything", "mcp-test-gateway-edge"} <= names


def test_problems_stop_the_program_before_any_resource_and_without_a_traceback() -> None:
    with pytest.raises(pulumi.RunError) as raised:
        record(
            run_program, {**CONFIG, "mcp-hosting:servers": json.dumps({"nobody": {}}), "mcp-hosting:passwords": "{}"}
        )
    assert "servers.nobody" in str(raised.value)
    assert "has no password" in str(raised.value)
    assert raised.value.__cause__ is None
