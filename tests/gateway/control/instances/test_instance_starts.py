"""Starts as an edge asks for them: one for each instance, to its owner alone, with an answer that says why not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

import httpx
import pytest
from mcp_gateway.instances.service import StartRefused

from tests.gateway.control.control_site import PUBLIC_URL, user
from tests.gateway.control.instances.instance_world import SECRET, InstanceWorld, instances_document, until
from tests.gateway.launcher_double import refusal


async def told(url: str) -> dict[str, object]:
    async with httpx.AsyncClient() as client:
        found: dict[str, object] = (await client.get(url)).json()
        return found


async def test_fifty_first_requests_at_once_are_one_start(world: InstanceWorld) -> None:
    key = world.key("alice")
    world.launcher.hold.clear()
    asking = [asyncio.create_task(world.ask(key)) for _ in range(50)]
    await until(lambda: len(world.launcher.starts) == 1)
    world.launcher.hold.set()
    answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["url"] for answer in answers}) == 1
    assert len(world.launcher.starts) == 1
    assert await told(answers[0].json()["url"]) == {"server": key[0], "subject": key[1], "values": {}}
    assert await world.table() == {key: answers[0].json()["url"]}


async def test_each_gets_their_own_with_their_own_values(world: InstanceWorld) -> None:
    world.give("alice", SECRET)
    world.give("bob", "bobs-own-key")
    alice, bob = world.key("alice", "keyed"), world.key("bob", "keyed")
    urls = [(await world.ask(key)).json()["url"] for key in (alice, bob)]
    assert urls[0] != urls[1]
    for key, url, value in ((alice, urls[0], SECRET), (bob, urls[1], "bobs-own-key")):
        found = await told(url)
        assert found["subject"] == key[1]
        assert found["values"] == {
            "user:API_KEY": hashlib.sha256(value.encode()).hexdigest(),
            "secret:TEAM": hashlib.sha256(b"the-team's-own-secret").hexdigest(),
        }
    plain = {hashlib.sha256(value.encode()).hexdigest() for value in (SECRET, "bobs-own-key")}
    assert plain.isdisjoint(start["revision"] for start in world.launcher.starts)
    assert all(len(start["revision"]) == 64 for start in world.launcher.starts)


async def test_the_same_values_of_two_users_cannot_be_told_to_be_the_same(world: InstanceWorld) -> None:
    for login in ("alice", "bob"):
        world.give(login, SECRET)
        await world.ask(world.key(login, "keyed"))
    assert len({start["revision"] for start in world.launcher.starts}) == 2


async def test_missing_values_are_named_with_the_page_that_takes_them(world: InstanceWorld) -> None:
    answer = await world.ask(world.key("alice", "keyed"))
    assert answer.status_code == 403
    assert answer.json()["error"] == "values-missing"
    assert answer.json()["missing"] == ["API key"]
    assert f"{PUBLIC_URL}/servers/keyed" in answer.json()["message"]
    assert world.launcher.starts == []


async def test_nobody_gets_what_they_may_not_use(world: InstanceWorld) -> None:
    subject = world.key("alice")[1]
    for key in (("memory", "nobody"), ("none", subject)):
        answer = await world.ask(key)
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown")
    assert world.launcher.starts == []


async def test_a_failed_start_tells_why_without_a_secret(world: InstanceWorld) -> None:
    world.give("alice", SECRET)
    forms = [SECRET, json.dumps(SECRET), base64.b64encode(f"alice:{SECRET}".encode()).decode()]
    log = ["first " + "x" * 3000, *(f"refused {form}" for form in forms)]
    world.launcher.fail["keyed"] = refusal("start-failed", f"it said {SECRET}", retry=4, log=log)
    answer = await world.ask(world.key("alice", "keyed"))
    assert (answer.status_code, answer.json()["error"]) == (502, "start-failed")
    assert answer.json()["retrySeconds"] == 4
    message = answer.json()["message"]
    assert "refused" in message
    assert f"{PUBLIC_URL}/servers/keyed" in message
    assert len(message.encode()) < 1400
    assert SECRET not in answer.text + world.site.audit.getvalue()
    assert SECRET[4:] not in answer.text
    assert [event["reason"] for event in world.site.events("instance-failed")] == ["start-failed"]


@pytest.mark.parametrize("code", ["limit-user", "limit-total"])
async def test_limits_are_told_as_limits(world: InstanceWorld, code: str) -> None:
    world.launcher.fail["memory"] = refusal(code, "too many", retry=30)
    answer = await world.ask(world.key("alice"))
    assert (answer.status_code, answer.json()["error"]) == (429, "limit")


async def test_a_launcher_that_is_away_is_said_so_and_found_again(world: InstanceWorld) -> None:
    key = world.key("alice")
    url = (await world.ask(key)).json()["url"]
    world.launcher.halt()
    assert (await world.ask(key)).json() == {"url": url}
    assert await world.table() == {key: url}
    answer = await world.ask(world.key("bob"))
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    world.launcher.resume()
    assert (await world.ask(world.key("bob"))).status_code == 200


async def test_a_start_goes_on_when_its_asker_goes_away(world: InstanceWorld) -> None:
    key = world.key("alice")
    world.launcher.hold.clear()
    asking = asyncio.create_task(world.ask(key))
    await until(lambda: len(world.launcher.starts) == 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    world.launcher.hold.set()
    await until(lambda: key in world.instances.roster.urls)
    assert len(world.launcher.starts) == 1


async def test_a_stop_ends_a_start_and_nothing_is_left(world: InstanceWorld) -> None:
    key = world.key("alice")
    world.launcher.hold.clear()
    asking = asyncio.create_task(world.instances.start(*key))
    await until(lambda: len(world.launcher.starts) == 1)
    await world.instances.stop(*key)
    with pytest.raises(StartRefused) as refused:
        await asking
    assert refused.value.code in {"unavailable", "start-failed"}
    world.launcher.hold.set()
    assert world.launcher.running() == set()
    assert await world.table() == {}


async def test_a_stop_before_the_start_is_sent_ends_it(world: InstanceWorld) -> None:
    key = world.key("alice")
    asking = asyncio.create_task(world.instances.start(*key))
    await asyncio.sleep(0)
    await world.instances.stop(*key)
    with pytest.raises(StartRefused):
        await asking
    assert world.launcher.running() == set()
    assert not world.instances.flights.busy(key)
    assert await world.instances.start(*key)


async def test_a_start_during_a_stop_waits_and_begins_anew(world: InstanceWorld) -> None:
    key = world.key("alice")
    before = await world.instances.start(*key)
    world.launcher.hold_stops.clear()
    stopping = asyncio.create_task(world.instances.stop(*key))
    await until(lambda: world.launcher.stops == [key])
    assert await world.table() == {}
    starting = asyncio.create_task(world.instances.start(*key))
    await asyncio.sleep(0.05)
    assert not starting.done()
    world.launcher.hold_stops.set()
    await stopping
    assert await starting != before
    assert world.launcher.launched[key] == 2


async def test_a_restart_is_at_once_and_with_new_values(world: InstanceWorld) -> None:
    key = world.key("alice", "keyed")
    world.give("alice", "old-value")
    await world.instances.start(*key)
    world.give("alice", "new-value")
    await world.instances.restart(*key)
    assert world.launcher.instances[key].values["user:API_KEY"] == "new-value"
    assert world.launcher.launched[key] == 2


async def test_a_user_who_goes_while_it_starts_gets_no_address(world: InstanceWorld) -> None:
    key = world.key("bob")
    world.launcher.hold.clear()
    asking = asyncio.create_task(world.ask(key))
    await until(lambda: len(world.launcher.starts) == 1)
    assert await world.site.deliver(instances_document(users=[user("alice")])) == []
    world.launcher.hold.set()
    assert (await asking).status_code == 404
    await world.look()
    await until(lambda: not world.launcher.instances)


async def test_bodies_that_are_not_the_contracts_are_refused(world: InstanceWorld) -> None:
    browser = world.site.browser()
    for path in ("start", "active"):
        for body in (
            "",
            "[]",
            "{}",
            '{"server": 1, "subject": "x", "failed": null}',
            '{"worker": "", "instances": []}',
        ):
            answer = await browser.post(f"/internal/instances/{path}", content=body)
            assert answer.status_code == 400


async def test_log_export_usage_and_data(world: InstanceWorld) -> None:
    key = world.key("alice", "keyed")
    world.give("alice", SECRET)
    await world.instances.start(*key)
    world.launcher.log[key] = ["grüße", f"the key is {SECRET}!"]
    lines = [line async for line in world.instances.log(*key)]
    assert lines == ["grüße", "the key is •••!"]
    exported = b"".join([part async for part in world.instances.export(*key)])
    assert f"keyed of {key[1]}".encode() in exported
    assert (await world.instances.usage())[key].processes == 3
    await until(lambda: world.instances.view(*key).has_data)
    await world.instances.delete_data(*key)
    assert world.launcher.data == set()
    assert world.instances.view(*key).state == "stopped"
    assert not world.instances.view(*key).has_data
