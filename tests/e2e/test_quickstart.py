"""The quickstart as two people use it: the official client signs in through a browser and calls every server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

from tests.e2e.deployed import ADDED, Deployed
from tests.e2e.sign_in import Person

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]

CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "everything": ("echo", {"message": "hello from a test"}, "hello from a test"),
    "time": ("get_current_time", {"timezone": "Europe/Paris"}, "Europe/Paris"),
    "sqlite": ("list_tables", {}, ""),
    "sequential-thinking": (
        "sequentialthinking",
        {"thought": "one", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
        "thoughtNumber",
    ),
    "fixture": ("whoami_headers", {}, "x-mcp-user"),
    "fixture-remote": ("whoami_headers", {}, ""),
}

OWN = {"memory", "my-time", "fixture-personal"}
"""Single-user servers: see single_user/."""


def text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, text(result)
    return text(result)


def test_the_quickstart_has_all_that_it_promises(deployed: Deployed) -> None:
    assert set(deployed.outputs["servers"]) == {*CALLS, *OWN, *ADDED}


async def use_everything(person: Person, deployed: Deployed, mode: str) -> dict[str, str]:
    answers: dict[str, str] = {}
    for server, (tool, arguments, expected) in CALLS.items():
        async with person.connect(deployed.server(server), mode) as client:
            names = {each.name for each in (await client.list_tools()).tools}
            assert tool in names, (server, names)
            answers[server] = await call(client, tool, arguments)
            assert expected in answers[server], (server, answers[server])
    return answers


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_two_people_use_every_server_at_once(deployed: Deployed, alice: Person, bob: Person, mode: str) -> None:
    first, second = await asyncio.gather(use_everything(alice, deployed, mode), use_everything(bob, deployed, mode))
    assert alice.consents == bob.consents == len(CALLS)
    assert first["fixture"] != second["fixture"], "each is known to the server by a name of their own"


async def test_a_remote_gets_its_own_headers_and_nothing_of_the_gateways(
    deployed: Deployed, alice: Person, bob: Person
) -> None:
    answers = []
    for person in (alice, bob):
        async with person.connect(deployed.server("fixture-remote")) as client:
            answers.append((await call(client, "whoami_headers", {})).lower())
    for answer in answers:
        assert "authorization" not in answer
        assert "x-mcp-user" not in answer
        assert "cookie" not in answer
    assert answers[0] != answers[1], "each sends the header that was declared for them"


async def test_progress_arrives_while_the_tool_runs(deployed: Deployed, alice: Person) -> None:
    seen: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with alice.connect(deployed.server("everything"), "legacy") as client:
        result = await client.call_tool(
            "trigger-long-running-operation", {"duration": 2, "steps": 4}, progress_callback=progress
        )
    assert isinstance(result, CallToolResult)
    assert len(seen) >= 3
