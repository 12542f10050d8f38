"""What the launcher is told to start for each user, and what the control side is told to fill in."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from components.plan.model import HostingPlan
from components.plan.text import Json, Text, images_of, secrets_of, texts_of
from components.render.docker.images import Images
from components.render.docker.instances import templates_document
from components.render.docker.rendering import render
from components.render.docker.spec import ContainerSpec, Part
from components.render.gateway import gateway_document
from tests.render.stack import DESK, NOTES, full, sources
from tests.unit.plan.declared import NPX, changed, planned


def document(hosting: HostingPlan) -> dict[str, Any]:
    return templates_document(hosting, Images(hosting, sources()))


def template(server: str, hosting: HostingPlan | None = None) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in document(hosting or full())["servers"] if each["id"] == server)
    return found


def placeholders(value: Json) -> set[str]:
    if isinstance(value, dict):
        own = {name} if isinstance(name := value.get("value"), str) and len(value) == 1 else set()
        return own.union(*map(placeholders, value.values()))
    return set().union(*map(placeholders, value)) if isinstance(value, list) else set()


def gateway_server(server: str, hosting: HostingPlan | None = None) -> dict[str, Any]:
    servers: Any = gateway_document(hosting or full())["servers"]
    return next(each for each in servers if each["id"] == server)


def parts(hosting: HostingPlan) -> dict[str, Part]:
    return {part.id: part for part in render(hosting, sources()).parts}


def container(name: str) -> ContainerSpec:
    return next(each for part in parts(full()).values() for each in part.containers if each.name == name)


def test_users_values_and_secrets_are_placeholders() -> None:
    notes = template("notes")
    assert notes["command"] == [["/app/bin/server"], ["--region=", {"value": "user:REGION"}], ["--verbose"]]
    assert notes["args"] == []
    assert notes["env"]["REGION"] == [{"value": "user:REGION"}]
    assert notes["env"]["TOKEN"] == [{"value": "user:TOKEN"}]
    assert notes["env"]["FILE"] == ["/data/notes.json"]
    (team,) = notes["env"]["TEAM"]
    assert team["value"].startswith("secret:notes-team.")


def test_a_file_has_its_path_in_the_variable_beside_it() -> None:
    notes = template("notes")
    assert notes["files"] == {"CREDS_JSON": [{"value": "user:CREDS_JSON"}]}
    assert notes["env"]["CREDS_JSON"] == ["/run/mcp/files/CREDS_JSON"]


def test_an_image_that_speaks_http_has_entrypoint_and_command() -> None:
    desk = template("desk")
    assert desk["bridge"] is None
    assert desk["command"] == [["/bin/desk"]]
    assert desk["args"] == [["--place"], [{"value": "user:PLACE"}]]
    assert (desk["port"], desk["path"], desk["healthPath"]) == (3000, "/mcp", "/ready")
    assert desk["user"] == {"uid": 1000, "gid": 2000}
    assert desk["volume"] == {"path": "/var/lib/desk"}
    assert "PLACE" not in desk["env"]


def test_the_control_side_is_told_of_every_placeholder_and_of_no_other() -> None:
    for server in ("notes", "desk"):
        told = gateway_server(server)
        users = {f"user:{each['key']}" for each in told["userSettings"] if each["usage"] != "header"}
        assert placeholders(template(server)) == users | set(told["instance"]["secrets"]), server


def test_a_secret_with_a_prefix_and_without_are_two_values() -> None:
    plain = {"key": "PLAIN", "required": True, "sensitive": True}
    given = {"values": {"TEAM": {"secret": "s"}, "PLAIN": {"secret": "s"}}}
    hosting = planned([changed(NOTES, env=[*NOTES["env"], plain])], servers={"notes": given})
    secrets = gateway_server("notes", hosting)["instance"]["secrets"]
    assert sorted(str(text) for text in secrets.values()) == ["team-{secret: s}", "{secret: s}"]
    assert placeholders(template("notes", hosting)) >= set(secrets)


def test_the_document_holds_no_secret_and_no_users_value() -> None:
    found: Json = document(full())
    assert list(secrets_of(found)) == []
    assert all(not text.user_values for text in texts_of(found))
    assert {image.reference.partition(":")[0] for image in images_of(found)} == {
        "mcp-hosting/python",
        "mcp-hosting/npx-notes-1-0-0",
        "example.org/desk",
    }


def test_a_header_for_everybody_is_declared_for_each_user() -> None:
    told = gateway_server("desk")
    assert told["upstream"] is None
    assert told["userValues"] == {login: {"X-MODE": Text("strict")} for login in ("alice", "bob")}
    assert {each["key"]: each["usage"] for each in told["userSettings"]} == {
        "PLACE": "env",
        "LICENSE": "file",
        "X-KEY": "header",
        "X-MODE": "header",
    }


def test_how_instances_live_is_told_to_the_control_side() -> None:
    told = gateway_server("notes")
    assert told["kind"] == "singleUser"
    assert (told["instance"]["idleSeconds"], told["instance"]["startSeconds"]) == (300, 60)
    assert told["instance"]["volume"] is True
    assert gateway_server("desk")["instance"]["idleSeconds"] == 900
    (region,) = [each for each in told["userSettings"] if each["key"] == "REGION"]
    assert [option["value"] for option in region["options"]] == ["eu", "us"]


def test_nothing_runs_for_a_single_user_server() -> None:
    found = parts(full())
    for server in ("notes", "desk"):
        assert (found[server].containers, found[server].networks, found[server].volumes) == ((), (), ())
    assert found["desk"].pulled == ("example.org/desk:2.0",)


def test_a_single_user_server_changes_no_container_but_the_deliveries() -> None:
    before, after = parts(planned([NPX])), parts(planned([NPX, DESK]))
    assert before["gateway"] == after["gateway"]
    assert before["everything"] == after["everything"]
    (alone,), (beside,) = before["templates"].containers, after["templates"].containers
    assert replace(alone, uploads=()) == replace(beside, uploads=())


def test_templates_are_delivered_between_launcher_and_configuration() -> None:
    templates = container("mcp-test-gateway-templates")
    assert templates.after == ("mcp-test-gateway-launcher",)
    assert templates.one_shot
    assert templates.network_mode == "none"
    assert "mcp-test-gateway-templates" in container("mcp-test-gateway-delivery").after


def test_the_gateway_never_mounts_the_templates_and_only_the_control_side_the_launchers_socket() -> None:
    mounts = {
        name: {
            mount.source.rpartition("-")[2]: mount.read_only for mount in container(f"mcp-test-gateway-{name}").mounts
        }
        for name in ("edge", "control", "launcher", "templates", "delivery")
    }
    assert {name for name, found in mounts.items() if "templates" in found} == {"launcher", "templates"}
    assert {name for name, found in mounts.items() if "launcher" in found} == {"launcher", "control"}
    assert mounts["control"]["launcher"] is True
    assert mounts["launcher"]["templates"] is True


def test_a_catalog_of_shared_servers_delivers_templates_without_a_server() -> None:
    assert document(planned([NPX]))["servers"] == []


def test_the_launchers_folder_is_the_same_in_both_images_whichever_is_mounted_first() -> None:
    images = {spec.name.partition(":")[0]: spec for spec in render(full(), sources()).images}
    folder = re.compile(r"install -d (.*) /run/launcher\b")
    found = {
        name: folder.findall(images[f"mcp-hosting/{name}"].files["Dockerfile"].decode())
        for name in ("gateway", "launcher")
    }
    assert found["gateway"] == found["launcher"] == ["-o 0 -g 10001 -m 0750"]
