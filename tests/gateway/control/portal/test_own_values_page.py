"""What users give on a server's page: kept for them alone, checked, never shown again when it is sensitive."""

from __future__ import annotations

import pytest

from tests.gateway.control.control_site import setting, single_user_server
from tests.gateway.control.portal.portal_world import (
    EVERYONE,
    OTHER_SECRET,
    SECRET,
    PortalWorld,
    form_token,
    portal_document,
)
from tests.gateway.rules import rule


@rule(68)
async def test_who_is_signed_out_signs_in_and_comes_back(world: PortalWorld) -> None:
    answer = await world.site.browser().get("/servers/tickets")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?onward=%2Fservers%2Ftickets")
    page = await world.site.browser().get(answer.headers["location"])
    assert 'name="onward" value="/servers/tickets"' in page.text


async def test_what_is_given_starts_the_instance_and_is_never_shown_again(world: PortalWorld) -> None:
    alice = await world.person("alice")
    assert "Needs your API key and Region" in (await alice.get("/")).text
    answer = await world.give(
        alice, "tickets", API_KEY=SECRET, REGION="eu", CREDENTIALS="-----\r\nkey\r\n", NICKNAME="Al"
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/servers/tickets")
    page = await alice.get("/servers/tickets")
    assert "Saved: API key, Region, Credentials and Nickname." in page.text
    assert SECRET not in page.text
    assert "-----" not in page.text
    assert 'value="Al"' in page.text
    assert "Set on" in page.text
    assert "Saved:" not in (await alice.get("/servers/tickets")).text, "it is said once"
    await world.act(alice, "tickets", "start")
    values = world.launcher.starts[-1]["values"]
    assert values == {
        "user:API_KEY": SECRET,
        "user:REGION": "eu",
        "user:CREDENTIALS": "-----\nkey\n",
        "user:NICKNAME": "Al",
        "user:TEAM": "declared-team-key",
    }
    assert SECRET not in world.site.audit.getvalue()
    assert [event["keys"] for event in world.site.events("user-values-given")] == [
        "API_KEY, CREDENTIALS, NICKNAME, REGION"
    ]


async def test_two_users_have_values_of_their_own(world: PortalWorld) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu", NICKNAME="from alice")
    page = await bob.get("/servers/tickets")
    assert "from alice" not in page.text
    assert "Set on" not in page.text
    await world.give(bob, "tickets", API_KEY=OTHER_SECRET, REGION="us")
    for person in (alice, bob):
        await world.act(person, "tickets", "start")
    given = {start["subject"]: start["values"]["user:API_KEY"] for start in world.launcher.starts}
    assert given == {await world.subject("alice"): SECRET, await world.subject("bob"): OTHER_SECRET}


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"API_KEY": "", "REGION": "eu"}, "Fill this in"),
        ({"API_KEY": SECRET, "REGION": ""}, "Choose one."),
        ({"API_KEY": SECRET, "REGION": "moon"}, "This must be one of eu, us."),
        ({"API_KEY": f"{SECRET}\x00", "REGION": "eu"}, "This contains the character NUL."),
        ({"API_KEY": SECRET, "REGION": "eu", "CREDENTIALS": "x" * 32769}, "longer than 32 KiB"),
    ],
)
async def test_what_does_not_fit_is_said_beside_its_field_and_nothing_is_kept(
    world: PortalWorld, values: dict[str, str], error: str
) -> None:
    alice = await world.person("alice")
    answer = await world.give(alice, "tickets", NICKNAME="Typed <b>", **values)
    assert answer.status_code == 422
    assert error in answer.text
    assert answer.text.count("autofocus") == 1
    assert 'value="Typed &lt;b&gt;"' in answer.text
    assert SECRET not in answer.text
    assert "Set on" not in (await alice.get("/servers/tickets")).text


async def test_a_header_takes_only_what_a_header_can_carry(world: PortalWorld) -> None:
    alice = await world.person("alice")
    answer = await world.give(alice, "weather", **{"X-Api-Key": "a\r\nX-Other: b"})
    assert answer.status_code == 422
    assert "a character that a header can&#39;t carry" in answer.text
    assert (await world.give(alice, "weather", **{"X-Api-Key": SECRET})).status_code == 303
    routed = next(each for each in (await world.site.edge())["servers"] if each["id"] == "weather")
    assert routed["userHeaders"] == {await world.subject("alice"): {"X-Api-Key": SECRET}}


async def test_an_empty_sensitive_field_keeps_and_a_tick_removes(world: PortalWorld) -> None:
    alice = await world.person("alice")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu", NICKNAME="Al")
    await world.give(alice, "tickets", API_KEY="", REGION="us", NICKNAME="")
    await world.act(alice, "tickets", "start")
    values = world.launcher.starts[-1]["values"]
    assert (values["user:API_KEY"], values["user:REGION"]) == (SECRET, "us")
    assert "user:NICKNAME" not in values
    page = await alice.get("/servers/tickets")
    form = {"form_token": form_token(page.text), "value:API_KEY": "", "value:REGION": "us", "remove:API_KEY": "yes"}
    assert (await alice.post("/servers/tickets/values", data=form)).status_code == 303
    assert "Needs your API key" in (await alice.get("/servers/tickets")).text


async def test_what_the_stack_declares_is_not_the_users_to_set(world: PortalWorld) -> None:
    alice = await world.person("alice")
    page = await alice.get("/servers/tickets")
    assert "Set by your administrator" in page.text
    assert "value:TEAM" not in page.text
    assert "declared-team-key" not in page.text
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu", TEAM="mine", UNKNOWN="x")
    await world.act(alice, "tickets", "start")
    assert world.launcher.starts[-1]["values"]["user:TEAM"] == "declared-team-key"


async def test_a_running_instance_takes_a_change_up_later_or_by_a_restart(world: PortalWorld) -> None:
    alice, subject = await world.person("alice"), await world.subject("alice")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu")
    await world.act(alice, "tickets", "start")
    await world.settle("tickets", subject, "running")
    await world.give(alice, "tickets", API_KEY=OTHER_SECRET, REGION="eu")
    assert "Your running instance takes it up when nobody is using it" in (await alice.get("/servers/tickets")).text
    await world.act(alice, "tickets", "restart")
    await world.settle("tickets", subject, "running")
    assert world.launcher.starts[-1]["values"]["user:API_KEY"] == OTHER_SECRET


async def test_a_value_that_fits_no_more_is_asked_for_anew(world: PortalWorld) -> None:
    alice = await world.person("alice")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu")
    options = [{"name": "", "value": "moon", "description": ""}]
    changed = [setting("REGION", usage="env", name="Region", sensitive=False, options=options)]
    document = portal_document(
        servers=[single_user_server("tickets", name="Tickets", access=EVERYONE, userSettings=changed)]
    )
    assert await world.site.deliver(document) == []
    page = await alice.get("/servers/tickets")
    assert "doesn&#39;t fit any more" in page.text
    assert "Needs your Region" in page.text
