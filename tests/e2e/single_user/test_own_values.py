"""What a person gives in the portal reaches their own instance and no other; what is missing is said with a link."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from mcp import types
from mcp.client.session import ClientRequestContext

from tests.e2e.deployed import Deployed
from tests.e2e.sign_in import Person
from tests.e2e.single_user.instances import instances, name_of, subject, until
from tests.e2e.single_user.people import Callers, Secrets
from tests.e2e.single_user.portal_pages import give, page_url, restart
from tests.e2e.test_quickstart import call
from tests.gateway.rules import rule

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]

ZONES = {"alice": "Europe/Berlin", "bob": "Asia/Tokyo"}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_missing_value_is_an_error_that_says_what_and_where(
    deployed: Deployed, alice: Person, mode: str
) -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - the client raises groups of different kinds
        async with alice.connect(deployed.server("my-time"), mode) as client:
            await client.list_tools()
    said = "".join(texts(caught.value))
    assert "Your time zone" in said
    assert page_url("my-time") in said


async def test_a_client_that_opens_links_is_sent_to_the_portal_and_then_served(deployed: Deployed, bob: Person) -> None:
    opened: list[str] = []

    async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        assert isinstance(params, types.ElicitRequestURLParams)
        opened.append(params.url)
        await give(bob, "my-time", {"LOCAL_TIMEZONE": ZONES["bob"]})
        return types.ElicitResult(action="accept")

    arguments = {"timezone": "Etc/UTC"}
    async with bob.connect(deployed.server("my-time"), "2026-07-28", answer) as client:
        assert "UTC" in await call(client, "get_current_time", arguments)
        assert opened == [page_url("my-time")]
        assert "UTC" in await call(client, "get_current_time", arguments)
        assert len(opened) == 1, "it is asked once"
        assert local(ZONES["bob"]) in (await client.list_tools()).model_dump_json()


async def test_a_legacy_client_that_opens_links_is_given_one(
    deployed: Deployed, callers: Callers, alice: Person
) -> None:
    caller = await callers.of(alice, "my-time")
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"elicitation": {"form": {}, "url": {}}},
        "clientInfo": {"name": "test", "version": "1"},
    }
    answer = await callers.http.post(
        caller.url,
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params},
        headers={"Authorization": f"Bearer {caller.token}", "Accept": "application/json, text/event-stream"},
    )
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == -32042
    assert [each["url"] for each in error["data"]["elicitations"]] == [page_url("my-time")]


async def test_each_users_own_choice_is_what_their_instance_runs_with(deployed: Deployed, alice: Person) -> None:
    """The choice is one of those that the entry offers; it reaches the command line of alice's own process."""
    await give(alice, "my-time", {"LOCAL_TIMEZONE": ZONES["alice"]})
    async with alice.connect(deployed.server("my-time"), "legacy") as client:
        offered = (await client.list_tools()).model_dump_json()
    assert local(ZONES["alice"]) in offered
    assert local(ZONES["bob"]) not in offered


async def test_each_instance_proves_its_own_users_value(
    alice: Person, bob: Person, given: Secrets, callers: Callers
) -> None:
    for person, other in ((alice, bob), (bob, alice)):
        caller = await callers.of(person, "fixture-personal")
        own, foreign = given.personal[person.login], given.personal[other.login]
        assert await caller.proves("file", "FIXTURE_KEY", own["FIXTURE_KEY"])
        assert not await caller.proves("file", "FIXTURE_KEY", foreign["FIXTURE_KEY"])
        assert await caller.proves("env", "FIXTURE_NICKNAME", own["FIXTURE_NICKNAME"])


async def test_a_stdio_server_gets_its_users_variable_and_file(
    alice: Person, bob: Person, given: Secrets, callers: Callers
) -> None:
    for person in (alice, bob):
        env = json.loads(await (await callers.of(person, "bridged-personal")).tell("get-env"))
        assert env["BRIDGED_TOKEN"] == f"token {given.bridged[person.login]['BRIDGED_TOKEN']}"
        assert env["BRIDGED_FILE"] == "/run/mcp/files/BRIDGED_FILE"
        assert not [name for name in env if re.search("KEY|SECRET|PASSWORD|MCP_TOKEN|PULUMI", name)]


async def test_a_changed_value_replaces_the_instance(bob: Person, given: Secrets, callers: Callers) -> None:
    caller = await callers.of(bob, "fixture-personal")
    before = await caller.identity()
    changed = {**given.personal["bob"], "FIXTURE_KEY": f"another {before}"}
    await give(bob, "fixture-personal", changed)
    given.personal["bob"] = changed

    name = name_of("fixture-personal", subject(caller.token))
    (old,) = [each.id for each in instances("fixture-personal") if each.name == name]

    def replaced() -> bool:
        found = [each for each in instances("fixture-personal") if each.name == name]
        return [each.status for each in found if each.id != old] == ["running"]

    await until("nobody used it for a while, and an instance with the new value has come in its place", replaced)
    assert await caller.identity() != before
    assert await caller.proves("file", "FIXTURE_KEY", changed["FIXTURE_KEY"])


@rule(68, 69)
async def test_the_portals_link_is_for_whoever_opens_it(
    deployed: Deployed, alice: Person, bob: Person, given: Secrets, callers: Callers, http: httpx.AsyncClient
) -> None:
    """What bob gives at a link that was meant for alice is bob's, and the link alone shows nothing to anybody."""
    unsigned = await http.get("/servers/fixture-personal", follow_redirects=False)
    assert unsigned.status_code == 303
    assert "/sign-in" in unsigned.headers["location"]
    theirs = await callers.of(alice, "fixture-personal")
    before = given.personal["alice"]["FIXTURE_KEY"]
    nickname = "given at a link of somebody else's"
    await give(bob, "fixture-personal", {"FIXTURE_NICKNAME": nickname})
    given.personal["bob"]["FIXTURE_NICKNAME"] = nickname
    assert await theirs.proves("file", "FIXTURE_KEY", before)
    assert not await theirs.proves("env", "FIXTURE_NICKNAME", nickname)
    mine = await callers.of(bob, "fixture-personal")
    await restart(bob, "fixture-personal")
    assert await mine.proves("env", "FIXTURE_NICKNAME", nickname), "at once when asked"


def local(zone: str) -> str:
    """What the server's tools say of the zone that it was started with."""
    return f"Use '{zone}' as local timezone"


def texts(error: BaseException) -> list[str]:
    """The messages of an error and of all that it is made of."""
    if isinstance(error, BaseExceptionGroup):
        return [text for each in error.exceptions for text in texts(each)]
    return [str(error)]
