"""What the program renders, read by those it is rendered for: the gateway and the runner."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp_gateway.documents.gateway import GatewayDocument, InvalidDocument, parse_gateway_document
from mcp_runner.config import ConfigError, parse

from components.deploy.secret_values import SecretValues
from components.plan.text import Json, Text
from components.render.docker.rendering import render
from components.render.gateway import gateway_document
from tests.render.stack import full, sources

VALUES = SecretValues(
    stack="test",
    secrets={"time-token": "t", "box-license": "b", "alice-key": "a", "notes-team": "n", "alice-notes": "an"},
    passwords={"alice": "first-password-of-alice", "bob": "first-password-of-bob"},
)


def filled(value: Json) -> Any:
    """A document with its secrets in clear, as it is uploaded."""
    return VALUES.filled(value)


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    found: dict[str, Any] = filled(gateway_document(full()))
    return found


def read(document: dict[str, Any]) -> GatewayDocument:
    return parse_gateway_document(json.dumps(document).encode())


def test_the_gateway_accepts_what_is_rendered(rendered: dict[str, Any]) -> None:
    document = read(rendered)
    assert {server.id: server.kind for server in document.servers} == {
        "box": "multiUser",
        "desk": "singleUser",
        "everything": "multiUser",
        "far": "remote",
        "notes": "singleUser",
        "time": "multiUser",
    }
    servers = {server.id: server for server in document.servers}
    assert servers["far"].user_values == {"alice": {"X-API-KEY": "a"}}
    notes = servers["notes"].instance
    assert notes is not None
    assert (notes.idle_seconds, notes.volume, list(notes.secrets.values())) == (300, True, ["team-n"])
    assert servers["notes"].upstream is None


@pytest.mark.parametrize(
    "field", ["stack", "publicUrl", "allowedHosts", "allowedOrigins", "tokens", "registration", "users", "servers"]
)
def test_the_gateway_needs_every_field(rendered: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidDocument, match=field):
        read({name: value for name, value in rendered.items() if name != field})


@pytest.mark.parametrize(
    "field", ["id", "kind", "path", "upstream", "instance", "userValues", "userSettings", "access", "limits"]
)
def test_the_gateway_needs_every_field_of_a_server(rendered: dict[str, Any], field: str) -> None:
    first = {name: value for name, value in rendered["servers"][0].items() if name != field}
    with pytest.raises(InvalidDocument, match=field):
        read({**rendered, "servers": [first]})


def runner_document() -> dict[str, Any]:
    part = next(part for part in render(full(), sources()).parts if part.id == "time")
    (content,) = [upload.content for upload in part.containers[0].uploads if upload.path == "/etc/mcp/runner.json"]
    assert not isinstance(content, Text)
    found: dict[str, Any] = filled(content)
    return found


def test_the_runner_accepts_what_is_rendered() -> None:
    config = parse(runner_document(), {"TOKEN": "t"}, {})
    assert config.command == ("/app/bin/mcp-server-time", "--local-timezone", "Etc/UTC")
    assert config.env["LOCAL_TIMEZONE"] == "Etc/UTC"
    assert (config.cwd, config.shared, config.startup_seconds) == ("/data", False, 60)


def test_the_runner_reads_no_field_that_is_not_rendered_by_agreement() -> None:
    with pytest.raises(ConfigError, match="unknown"):
        parse({**runner_document(), "other": 1}, {}, {})
