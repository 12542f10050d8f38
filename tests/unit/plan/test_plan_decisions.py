"""What the plan decides for each runtime, and what it says of it."""

from __future__ import annotations

import json

from components.plan.model import NpxImage, StartImage, UvxImage, to_json
from components.plan.text import SecretRef, Text
from tests.unit.plan.declared import CONTAINER, NPX, REMOTE, UVX, ZONE, changed, planned, server


def test_a_package_of_npm_becomes_an_image_and_its_command_a_fixed_path() -> None:
    found = server(planned([NPX]), "everything").hosted
    assert found is not None
    assert found.image == NpxImage(package="@modelcontextprotocol/server-everything@2026.8.31")
    assert found.command == (Text("/app/bin/server"),)
    assert (found.port, found.path, found.egress) == (8080, "/mcp", "none")


def test_a_python_package_is_spelled_for_pip_and_its_arguments_are_filled_in() -> None:
    entry = changed(UVX, uvxConfig={**UVX["uvxConfig"], "package": "mcp-server-time@2026.10.19"})  # type: ignore[dict-item]
    found = server(planned([entry], servers=ZONE), "time").hosted
    assert found is not None
    assert found.image == UvxImage(requirement="mcp-server-time==2026.10.19", command="mcp-server-time")
    assert [word.plain for word in found.command] == ["/app/bin/mcp-server-time", "--local-timezone", "Etc/UTC"]
    assert found.env == {"LOCAL_TIMEZONE": "Etc/UTC"}


def test_an_unpinned_package_and_a_floating_image_are_warned_of() -> None:
    hosting = planned(
        [
            changed(NPX, npxConfig={"package": "@modelcontextprotocol/server-everything"}),
            changed(CONTAINER, containerizedConfig={"image": "example.org/box:latest", "port": 1, "path": "/"}),
        ]
    )
    assert "no exact version" in server(hosting, "everything").warnings[0]
    assert "floats" in server(hosting, "box").warnings[0]
    assert not server(planned([NPX, CONTAINER]), "everything").warnings


def test_a_secret_of_a_bridged_server_is_for_the_child_only() -> None:
    entry = changed(NPX, env=[{"key": "API_KEY", "name": "Key", "required": True, "sensitive": True, "prefix": "k-"}])
    servers = {"everything": {"values": {"API_KEY": {"secret": "api-key"}}}}
    found = server(planned([entry], servers=servers, secrets=frozenset({"api-key"})), "everything").hosted
    assert found is not None
    assert found.secret_env == {"API_KEY": Text(SecretRef(name="api-key", prefix="k-"))}
    assert "API_KEY" not in found.env


def test_a_file_is_put_where_its_variable_says() -> None:
    entry = changed(CONTAINER, env=[{"key": "creds.json", "name": "Creds", "required": True, "sensitive": True}])
    servers = {"box": {"values": {"CREDS_JSON": {"secret": "creds"}}}}
    found = server(planned([entry], servers=servers), "box").hosted
    assert found is not None
    assert found.env == {"CREDS_JSON": "/run/mcp/files/CREDS_JSON"}
    assert [(file.path, file.content) for file in found.files] == [
        ("/run/mcp/files/CREDS_JSON", Text(SecretRef(name="creds")))
    ]


def test_each_users_header_travels_through_the_gateway() -> None:
    servers = {"far": {"userValues": {"alice": {"X-Api-Key": {"secret": "alice-key"}}}}}
    found = server(planned([REMOTE], servers=servers), "far")
    assert found.user_values == {"alice": {"X-API-KEY": Text(SecretRef(name="alice-key"))}}
    assert found.user_settings[0].prefix == "Key ", "the gateway puts it in front"
    assert [setting.key for setting in found.user_settings] == ["X-API-KEY"]
    assert (found.kind, found.reach) == ("remote", "public")


def test_a_header_for_everybody_is_no_users_own() -> None:
    servers = {"far": {"values": {"X-Api-Key": {"secret": "shared"}}}}
    found = server(planned([REMOTE], servers=servers), "far")
    assert set(found.headers) == {"X-API-KEY"}
    assert found.user_settings == ()


def test_amounts_come_from_the_stack_then_the_entry_then_the_defaults() -> None:
    entry = changed(NPX, resources={"limits": {"memory": "300Mi", "cpu": "250m"}, "requests": {"memory": "64Mi"}})
    found = server(planned([entry], servers={"everything": {"resources": {"limits": {"memory": "1Gi"}}}}), "everything")
    assert found.hosted is not None
    assert (found.hosted.amounts.memory_mib, found.hosted.amounts.cpus) == (1024, 0.25)
    assert found.hosted.amounts.reserved_memory_mib == 64


def test_a_departure_shows_with_its_reason() -> None:
    egress = {"unrestricted": True, "reason": "fetches public pages"}
    servers = {"everything": {"egress": egress, "installAtStart": {"reason": "no image can be built here"}}}
    found = server(planned([NPX], servers=servers), "everything")
    assert found.hosted is not None
    assert found.hosted.egress == "unrestricted"
    assert found.hosted.image == StartImage()
    assert [word.plain for word in found.hosted.command][:2] == ["npx", "-y"]
    assert {each.reason for each in found.deviations} == {"fetches public pages", "no image can be built here"}


def test_an_entry_that_asks_for_egress_runs_without_when_the_stack_says_none() -> None:
    entry = changed(NPX, npxConfig={"package": "a@1.0.0", "egressDomains": ["api.example.org"]})
    found = server(planned([entry], servers={"everything": {"egress": "none"}}), "everything")
    assert found.hosted is not None
    assert found.hosted.egress == "none"
    assert "gets none" in found.warnings[0]


def test_access_is_the_servers_own_or_the_stacks() -> None:
    hosting = planned([NPX, REMOTE], servers={"far": {"access": {"groups": ["staff"]}}}, access={"users": ["bob"]})
    assert server(hosting, "everything").access.users == ("bob",)
    assert server(hosting, "far").access.groups == ("staff",)


def test_loopback_has_both_its_names_and_another_host_only_its_own() -> None:
    assert planned([]).gateway.allowed_hosts == ("127.0.0.1:8765", "localhost:8765")
    other = planned([], publicUrl="https://MCP.Example.org:443").gateway
    assert (other.public_url, other.allowed_hosts) == ("https://mcp.example.org", ("mcp.example.org",))
    assert other.allowed_origins == ("https://mcp.example.org",)


def test_the_plan_is_json_and_shows_secrets_by_name() -> None:
    servers = {"far": {"values": {"X-Api-Key": {"secret": "shared"}}}, **ZONE}
    text = json.dumps(to_json(planned([NPX, UVX, CONTAINER, REMOTE], servers=servers)))
    assert "Key {secret: shared}" in text
    assert "{passwordHash: alice}" in text
