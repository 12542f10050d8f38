"""What ends or replaces an instance, and what doesn't."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.control.control_site import single_user_server, user
from tests.gateway.control.instances.instance_world import (
    IDLE_SECONDS,
    SECRET,
    InstanceWorld,
    instances_document,
    open_world,
    until,
)


async def settled(world: InstanceWorld) -> None:
    """Time in which a withdrawn instance is stopped."""
    await world.pass_time(0)
    await world.pass_time(7)


async def test_what_nobody_uses_is_withdrawn_then_stopped(world: InstanceWorld) -> None:
    key = world.key("alice")
    await world.ask(key)
    await world.pass_time(IDLE_SECONDS - 1)
    assert key in await world.table()
    await world.pass_time(2)
    assert await world.table() == {}
    assert world.launcher.running() == {key}
    await world.pass_time(7)
    assert world.launcher.running() == set()
    assert [event["reason"] for event in world.site.events("instance-stopped")] == ["nobody used it"]


async def test_a_call_that_began_before_the_withdrawal_calls_it_off(world: InstanceWorld) -> None:
    key = world.key("alice")
    await world.ask(key)
    await world.pass_time(IDLE_SECONDS + 1)
    assert await world.table() == {}
    await world.use(key, open_posts=1)
    await world.look()
    assert key in await world.table()
    world.monotonic.ahead += 19
    await world.look()
    assert world.launcher.running() == {key}
    assert world.launcher.stops == []


async def test_who_comes_while_it_is_withdrawn_has_it_back(world: InstanceWorld) -> None:
    key = world.key("alice")
    url = (await world.ask(key)).json()["url"]
    await world.pass_time(IDLE_SECONDS + 1)
    assert (await world.ask(key)).json()["url"] == url
    await world.pass_time(7)
    assert world.launcher.stops == []


async def test_nothing_is_stopped_while_no_edge_tells_of_use(world: InstanceWorld) -> None:
    key = world.key("alice")
    await world.ask(key)
    world.monotonic.ahead += IDLE_SECONDS * 10
    await world.look()
    world.monotonic.ahead += 10
    await world.look()
    assert key in await world.table()


async def test_the_posts_of_a_worker_that_is_gone_hold_nothing(world: InstanceWorld) -> None:
    key = world.key("alice")
    await world.ask(key)
    await world.use(key, open_posts=1, worker="gone")
    await world.pass_time(IDLE_SECONDS + 21)
    await world.pass_time(7)
    assert world.launcher.running() == set()


async def test_time_of_use_begins_anew_with_the_control_side(world: InstanceWorld, tmp_path: Any) -> None:
    key = world.key("alice")
    url = (await world.ask(key)).json()["url"]
    await world.close()
    again = await open_world(tmp_path, world.launcher)
    try:
        await until(lambda: again.instances.roster.known)
        assert await again.table() == {key: url}
        await again.pass_time(IDLE_SECONDS - 5)
        assert key in await again.table()
        await again.pass_time(6)
        await again.pass_time(7)
        assert again.launcher.running() == set()
    finally:
        await again.close()


@pytest.mark.parametrize("change", ["value", "template"])
async def test_what_is_not_current_is_replaced_when_it_is_quiet(world: InstanceWorld, change: str) -> None:
    key = world.key("alice", "keyed")
    world.give("alice", "old-value")
    url = (await world.ask(key)).json()["url"]
    if change == "value":
        world.give("alice", SECRET)
    else:
        world.launcher.change_template("keyed")
        await until(lambda: not world.instances.roster.instances[key].template_current)
    await world.use(key, open_posts=1)
    await world.look()
    assert world.instances.view(*key).stale
    assert (await world.table())[key] == url
    await world.use(key)
    await world.pass_time(11)
    assert await world.table() == {}
    await world.pass_time(7)
    assert (await world.table())[key] != url
    assert world.launcher.launched[key] == 2
    assert world.launcher.instances[key].values["user:API_KEY"] == (SECRET if change == "value" else "old-value")
    assert not world.instances.view(*key).stale


async def test_one_that_lacks_a_value_now_is_stopped(world: InstanceWorld) -> None:
    key = world.key("alice", "keyed")
    world.give("alice", "old-value")
    await world.ask(key)
    world.give("alice", None)
    await world.pass_time(11)
    await world.pass_time(7)
    assert world.launcher.running() == set()


def _without_bob() -> dict[str, Any]:
    return instances_document(users=[user("alice")])


def _without_access() -> dict[str, Any]:
    only_alice = {"everyone": False, "users": ["alice"], "groups": []}
    return instances_document(servers=[single_user_server("memory", access=only_alice)])


def _without_server() -> dict[str, Any]:
    return instances_document(servers=[single_user_server("keyed")])


@pytest.mark.parametrize("document", [_without_bob, _without_access, _without_server])
async def test_what_its_user_may_not_have_is_stopped_though_in_use(world: InstanceWorld, document: Any) -> None:
    key = world.key("bob")
    await world.ask(key)
    await world.use(key, open_posts=3)
    assert await world.site.deliver(document()) == []
    await world.look()
    assert key not in await world.table()
    assert key not in world.launcher.running()


async def test_an_instance_that_ends_by_itself_leaves_the_table(world: InstanceWorld) -> None:
    key = world.key("alice")
    url = (await world.ask(key)).json()["url"]
    world.launcher.die(key)
    await until(lambda: key not in world.instances.roster.urls)
    assert await world.table() == {}
    answer = await world.ask(key, failed=url)
    assert answer.status_code == 200
    assert answer.json()["url"] != url
