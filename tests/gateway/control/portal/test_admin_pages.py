"""The administrators' pages: what they show and end, and that they are not there for anybody else."""

from __future__ import annotations

import httpx
import pytest

from tests.gateway.control.control_site import user
from tests.gateway.control.flows import register
from tests.gateway.control.portal.portal_world import SECRET, PortalWorld, form_token, portal_document
from tests.gateway.launcher_double import refusal

PAGES = ("/admin", "/admin/users", "/admin/clients", "/admin/problems")
ACTIONS = (
    "/admin/instances/stop",
    "/admin/users/end-sessions",
    "/admin/users/revoke",
    "/admin/users/delete-data",
    "/admin/clients/remove",
)


async def press(browser: httpx.AsyncClient, page: str, action: str, **form: str) -> httpx.Response:
    """Press a button of an administrators' page."""
    shown = await browser.get("/admin/users" if page == "/admin" else page)
    return await browser.post(action, data={"form_token": form_token(shown.text), **form})


@pytest.mark.parametrize("path", PAGES)
async def test_others_find_nothing_there(world: PortalWorld, path: str) -> None:
    alice = await world.person("alice")
    unknown = await alice.get("/admin-or-whatever")
    answer = await alice.get(path)
    assert (answer.status_code, answer.text) == (404, unknown.text)
    assert "/admin" not in (await alice.get("/")).text
    assert (await (await world.person("carol")).get(path)).status_code == 200


@pytest.mark.parametrize("path", ACTIONS)
async def test_others_can_do_nothing_there_with_any_token(world: PortalWorld, path: str) -> None:
    alice, carol = await world.person("alice"), await world.person("carol")
    own, admins = form_token((await alice.get("/account")).text), form_token((await carol.get("/admin/users")).text)
    for token in (own, admins, ""):
        form = {"form_token": token, "subject": await world.subject("bob"), "server": "memory", "client_id": "x"}
        assert (await alice.post(path, data=form)).status_code == 404
    for token in (own, form_token((await carol.get("/account")).text), ""):
        assert (await carol.post(path, data={"form_token": token})).status_code == 403


async def test_all_instances_are_listed_without_values_or_logs_and_can_be_stopped(world: PortalWorld) -> None:
    alice, carol, subject = await world.person("alice"), await world.person("carol"), await world.subject("alice")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu", NICKNAME="Secretive")
    await world.act(alice, "tickets", "start")
    await world.settle("tickets", subject, "running")
    world.launcher.log["tickets", subject] = ["a line of the log"]
    page = (await carol.get("/admin")).text
    assert "1 running, 1 MiB of memory in all" in page
    assert "Alice" in page
    for path in PAGES:
        shown = (await carol.get(path)).text
        assert not [text for text in (SECRET, "Secretive", "a line of the log") if text in shown]
    assert "a line of the log" not in (await carol.get("/servers/tickets")).text
    await press(carol, "/admin", ACTIONS[0], server="tickets", subject=subject)
    await world.settle("tickets", subject, "stopped")
    assert (await press(carol, "/admin", ACTIONS[0], server="tickets", subject="nobody")).status_code == 404


async def test_a_users_sessions_and_applications_are_ended(world: PortalWorld) -> None:
    alice, carol, subject = await world.person("alice"), await world.person("carol"), await world.subject("alice")
    app = await register(world.site, client_name="Old laptop")
    code = await app.code(alice, resource=app.resource("time"))
    tokens = (await app.redeem(code, resource=app.resource("time"))).json()
    assert "Old laptop" in (await carol.get("/admin/users")).text
    await press(carol, "/admin/users", "/admin/users/revoke", subject=subject)
    assert len((await world.site.edge())["revokedTokens"]) == 1
    refreshed = await app.refresh(tokens["refresh_token"], resource=app.resource("time"))
    assert refreshed.json()["error"] == "invalid_grant"
    await press(carol, "/admin/users", "/admin/users/end-sessions", subject=subject)
    assert (await alice.get("/account")).status_code == 303
    assert "Alice has been signed out." in (await carol.get("/admin/users")).text


async def test_data_of_who_left_is_deleted_and_of_nobody_else(world: PortalWorld) -> None:
    alice, carol, subject = await world.person("alice"), await world.person("carol"), await world.subject("alice")
    await world.act(alice, "memory", "start")
    await world.settle("memory", subject, "running")
    world.launcher.data.add(("memory", "someone-else"))
    while ("memory", "someone-else") not in world.site.control.instances.roster.data:
        world.launcher.change_template("memory")
        await world.site.control.following.once()
    kept = await press(carol, "/admin/users", "/admin/users/delete-data", server="memory", subject=subject)
    assert kept.status_code == 404
    page = (await carol.get("/admin/users")).text
    assert "someone who left (someone-)" in page
    await press(carol, "/admin/users", "/admin/users/delete-data", server="memory", subject="someone-else")
    assert world.launcher.data == {("memory", subject)}


async def test_a_removed_client_loses_everything(world: PortalWorld) -> None:
    alice, carol = await world.person("alice"), await world.person("carol")
    app = await register(world.site, client_name="<i>Odd</i>")
    await app.redeem(await app.code(alice, resource=app.resource("time")), resource=app.resource("time"))
    page = (await carol.get("/admin/clients")).text
    assert "&lt;i&gt;Odd&lt;/i&gt;" in page
    assert "Allowed by 1 person" in page
    await press(carol, "/admin/clients", "/admin/clients/remove", client_id=app.client["client_id"])
    assert "Odd" not in (await carol.get("/admin/clients")).text
    assert len((await world.site.edge())["revokedTokens"]) == 1
    assert "Odd" not in (await alice.get("/account")).text
    assert (await app.authorize(alice, resource=app.resource("time"))).status_code == 400


async def test_problems_name_users_and_fields_and_no_value(world: PortalWorld) -> None:
    alice, carol = await world.person("alice"), await world.person("carol")
    await world.give(alice, "tickets", API_KEY=SECRET, REGION="eu")
    world.launcher.fail["tickets"] = refusal("start-failed", "it ended")
    page = (await carol.get("/admin/problems")).text
    assert "Tickets: required values are missing (2 users)" in page
    assert "Bob: API key and Region" in page
    assert "Alice: API key" not in page
    assert "Registration is open" in page
    assert "Servers that nobody may use" in page
    assert SECRET not in page
    refused = portal_document(publicUrl="ftp://nowhere")
    assert await world.site.deliver(refused) != []
    page = (await carol.get("/admin/problems")).text
    assert "The last change of the stack was refused" in page
    assert await world.site.deliver(portal_document()) == []
    assert "was refused" not in (await carol.get("/admin/problems")).text
    world.launcher.halt()
    assert "can&#39;t be started or stopped" in (await carol.get("/admin/problems")).text


async def test_an_administrator_who_is_one_no_more_finds_nothing(world: PortalWorld) -> None:
    carol = await world.person("carol")
    assert (await carol.get("/admin")).status_code == 200
    document = portal_document(users=[user("alice"), user("bob"), user("carol")])
    assert await world.site.deliver(document) == []
    assert (await carol.get("/admin")).status_code == 404


async def test_everywhere_else_is_signed_out(world: PortalWorld) -> None:
    alice, elsewhere = await world.person("alice"), await world.person("alice")
    page = await alice.get("/account")
    await alice.post("/account/sessions/end-others", data={"form_token": form_token(page.text)})
    assert (await elsewhere.get("/account")).status_code == 303
    assert (await alice.get("/account")).status_code == 200
