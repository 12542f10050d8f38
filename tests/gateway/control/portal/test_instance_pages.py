"""What users do with their own instances, and that nobody gets at another's."""

from __future__ import annotations

import io
import tarfile

import pytest

from tests.gateway.control.portal.portal_world import SECRET, PortalWorld, form_token
from tests.gateway.launcher_double import refusal
from tests.gateway.rules import rule


async def test_start_restart_and_stop(world: PortalWorld) -> None:
    alice, subject = await world.person("alice"), await world.subject("alice")
    assert "Stopped" in (await alice.get("/servers/memory")).text
    assert (await world.act(alice, "memory", "start")).headers["location"] == "/servers/memory"
    await world.settle("memory", subject, "running")
    page = await alice.get("/servers/memory")
    assert 'data-state="running"' in page.text
    assert "since" in page.text
    await world.act(alice, "memory", "restart")
    await world.settle("memory", subject, "running")
    assert world.launcher.launched["memory", subject] == 2
    await world.act(alice, "memory", "stop")
    await world.settle("memory", subject, "stopped")
    assert world.launcher.running() == set()


async def test_a_start_does_not_hold_the_page(world: PortalWorld) -> None:
    alice, subject = await world.person("alice"), await world.subject("alice")
    world.launcher.hold.clear()
    assert (await world.act(alice, "memory", "start")).status_code == 303
    page = await alice.get("/servers/memory")
    assert 'data-state="starting"' in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert 'data-refresh="2"' in page.text
    assert len(world.launcher.starts) == 1
    await world.act(alice, "memory", "start")
    assert len(world.launcher.starts) == 1, "asking again changes nothing"
    world.launcher.hold.set()
    await world.settle("memory", subject, "running")


async def test_a_start_that_is_under_way_can_be_stopped(world: PortalWorld) -> None:
    alice, subject = await world.person("alice"), await world.subject("alice")
    world.launcher.hold.clear()
    await world.act(alice, "memory", "start")
    await world.act(alice, "memory", "stop")
    await world.settle("memory", subject, "stopped")


async def test_a_failed_start_says_why_with_the_last_lines_and_no_secret(world: PortalWorld) -> None:
    alice = await world.person("alice")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu")
    world.launcher.fail["tickets"] = refusal(
        "start-failed", "it ended with code 1", log=[f"bad key {SECRET}", "<b>bye"]
    )
    await world.act(alice, "tickets", "start")
    page = await alice.get("/servers/tickets")
    assert "Tickets could not be started: it ended with code 1." in page.text
    assert "bad key •••" in page.text
    assert "&lt;b&gt;bye" in page.text
    assert SECRET not in page.text
    assert "Failed" in (await alice.get("/")).text
    del world.launcher.fail["tickets"]
    await world.act(alice, "tickets", "start")
    assert "could not be started" not in (await alice.get("/servers/tickets")).text


async def test_the_log_is_masked_and_ones_own(world: PortalWorld) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    subject = await world.subject("alice")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu")
    await world.act(alice, "tickets", "start")
    await world.settle("tickets", subject, "running")
    world.launcher.log["tickets", subject] = ["listening", f"key is {SECRET}"]
    page = (await alice.get("/servers/tickets")).text
    assert "listening\nkey is •••" in page
    stream = await alice.get("/servers/tickets/log")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert 'data: "listening"\n\n' in stream.text
    assert stream.text.startswith("retry: 3000\nevent: begin")
    assert SECRET not in page + stream.text
    assert "listening" not in (await bob.get("/servers/tickets")).text
    assert "listening" not in (await bob.get("/servers/tickets/log")).text


async def test_data_is_exported_and_deleted_after_a_page_that_names_it(world: PortalWorld) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    own, others = await world.subject("alice"), await world.subject("bob")
    for person, subject in ((alice, own), (bob, others)):
        await world.act(person, "memory", "start")
        await world.settle("memory", subject, "running")
        while not world.site.control.instances.view("memory", subject).has_data:
            await world.site.control.following.once()
    archive = await alice.get("/servers/memory/data.tar")
    assert archive.headers["content-disposition"] == 'attachment; filename="memory-data.tar"'
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as tar:
        member = tar.extractfile("content.txt")
        assert member is not None
        assert member.read().decode() == f"memory of {own}\n"
    page = await alice.get("/servers/memory/delete")
    assert "everything that your instance of Memory has stored" in page.text
    await alice.post("/servers/memory/delete", data={"form_token": form_token(page.text)})
    assert "Your data has been deleted." in (await alice.get("/servers/memory")).text
    assert world.launcher.data == {("memory", others)}
    assert world.launcher.running() == {("memory", others)}


async def test_values_go_with_the_data_when_that_is_asked_for(world: PortalWorld) -> None:
    alice = await world.person("alice")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu")
    page = await alice.get("/servers/tickets/delete")
    assert "Also remove my values: API key and Region" in page.text
    await alice.post("/servers/tickets/delete", data={"form_token": form_token(page.text), "values": "yes"})
    assert "Needs your API key and Region" in (await alice.get("/servers/tickets")).text


ACTIONS = ("values", "start", "stop", "restart", "delete")


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_form_of_another_session_or_purpose_changes_nothing(world: PortalWorld, action: str) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    theirs = form_token((await bob.get("/servers/tickets")).text)
    account = form_token((await alice.get("/account")).text)
    for token in ("", "x", theirs, account):
        form = {"form_token": token, "value:API_KEY": SECRET, "value:REGION": "eu"}
        answer = await alice.post(f"/servers/tickets/{action}", data=form)
        assert answer.status_code == 403
        assert "Nothing was changed" in answer.text
    assert (
        await world.site.browser().post(f"/servers/tickets/{action}", data={"form_token": theirs})
    ).status_code == 403
    assert world.launcher.starts == []
    assert world.launcher.stops == []
    assert "Set on" not in (await alice.get("/servers/tickets")).text


@rule(57)
async def test_a_form_acts_for_who_sent_it_whatever_it_names(world: PortalWorld) -> None:
    bob, alices = await world.person("bob"), await world.subject("alice")
    page = await bob.get("/servers/memory")
    form = {"form_token": form_token(page.text), "subject": alices, "login": "alice", "user": alices}
    await bob.post("/servers/memory/start", data=form)
    assert [start["subject"] for start in world.launcher.starts] == [await world.subject("bob")]


@pytest.mark.parametrize("path", ["", "/log", "/data.tar", "/delete"])
@pytest.mark.parametrize("server_id", ["hidden", "nothing", "%2e%2e", "time%00"])
async def test_a_server_that_is_not_ones_own_is_not_there(world: PortalWorld, server_id: str, path: str) -> None:
    alice = await world.person("alice")
    unknown = await alice.get("/nothing-at-all")
    answer = await alice.get(f"/servers/{server_id}{path}")
    assert answer.status_code == 404
    assert answer.text == unknown.text


@pytest.mark.parametrize("action", ACTIONS)
async def test_nor_can_anything_be_done_with_it(world: PortalWorld, action: str) -> None:
    alice = await world.person("alice")
    token = form_token((await alice.get("/servers/memory")).text)
    assert (await alice.post(f"/servers/hidden/{action}", data={"form_token": token})).status_code == 404
    if action != "values":
        assert (await alice.post(f"/servers/time/{action}", data={"form_token": token})).status_code == 404
    assert world.launcher.starts == []


async def test_without_a_launcher_pages_still_answer(world: PortalWorld) -> None:
    alice = await world.person("alice")
    world.launcher.halt()
    await world.act(alice, "memory", "start")
    page = await alice.get("/servers/memory")
    assert "can&#39;t be started just now" in page.text
    assert (await alice.get("/")).status_code == 200
