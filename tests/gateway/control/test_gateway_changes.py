"""Delivered documents take effect: users, passwords, access, the edge's feed."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable

import httpx
import pytest
from argon2 import PasswordHasher
from mcp_gateway.documents.gateway import GatewayDocument

from tests.gateway.control.control_site import Site, gateway_document, server, setting, user
from tests.gateway.control.flows import claims, register, sign_in, signed_in

EVERYONE = {"everyone": True, "users": [], "groups": []}


async def test_a_new_password_hash_resets_the_password_and_ends_everything(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens = await app.connect(browser)
    changed = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash("new password")
    assert await site.deliver(gateway_document(users=[user("alice", passwordHash=changed), user("bob")])) == []
    edge, token = await site.edge(), claims(tokens["access_token"])
    assert token["jti"] in edge["revokedTokens"]
    assert edge["revokedBefore"][token["sub"]] >= token["iat"]
    assert (await browser.get("/account")).status_code == 303
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await sign_in(site.browser(), "alice")).status_code == 401
    assert (await sign_in(site.browser(), "alice", password="new password")).status_code == 303
    # The new sign-in's tokens count.
    fresh = claims((await app.connect(await _signed_in_with(site, "new password")))["access_token"])
    edge = await site.edge()
    assert fresh["sub"] == token["sub"]
    assert fresh["iat"] >= edge["revokedBefore"][fresh["sub"]]
    assert fresh["jti"] not in edge["revokedTokens"]


async def _signed_in_with(site: Site, password: str) -> httpx.AsyncClient:
    browser = site.browser()
    await sign_in(browser, "alice", password=password)
    return browser


async def test_a_removed_user_loses_everything_and_comes_back_as_someone_new(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens = await app.connect(browser)
    assert await site.deliver(gateway_document(users=[user("bob")])) == []
    assert claims(tokens["access_token"])["sub"] not in (await site.edge())["subjects"]
    assert (await browser.get("/account")).status_code == 303
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await sign_in(site.browser(), "alice")).status_code == 401
    assert await site.deliver(gateway_document()) == []
    again = claims((await app.connect(await signed_in(site)))["access_token"])
    assert again["sub"] != claims(tokens["access_token"])["sub"]


async def test_an_unchanged_user_keeps_everything(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens = await app.connect(browser)
    renamed = gateway_document(users=[user("alice", displayName="A. Liddell"), user("bob"), user("carol")])
    assert await site.deliver(renamed) == []
    assert "A. Liddell" in (await browser.get("/account")).text
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    assert (await sign_in(site.browser(), "carol")).status_code == 303


async def test_access_by_group(site: Site) -> None:
    team = {"everyone": False, "users": [], "groups": ["team"]}
    changed = gateway_document(
        users=[user("alice"), user("bob", groups=["team", "other"])], servers=[server("time", access=team)]
    )
    assert await site.deliver(changed) == []
    edge = await site.edge()
    logins = {subject: entry["login"] for subject, entry in edge["subjects"].items()}
    assert [logins[subject] for subject in edge["servers"][0]["subjects"]] == ["bob"]


async def test_a_document_that_is_wrong_leaves_the_last_one_in_force(site: Site) -> None:
    before = await site.edge()
    problems = await site.deliver(gateway_document(publicUrl="http://mcp.example.com", extra=1))
    assert len(problems) == 2
    assert await site.edge() == before
    assert (await site.browser().get("/.well-known/oauth-authorization-server")).status_code == 200


async def test_a_restart_remembers_document_accounts_keys_and_sessions(
    site: Site, open_site: Callable[[], Site]
) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens, before = await app.connect(browser), await site.edge()
    cookies = dict(browser.cookies)
    site.database.close()
    (site.folder / "gateway.json").write_text("{}")
    again = open_site()
    assert (await again.browser().get("/sign-in")).status_code == 503
    assert (await again.browser().get("/healthz")).json() == {"status": "ok", "document": False}
    await again.control.applier.restore()
    await again.control.applier.poll()
    assert await again.edge() == before
    browser = again.browser()
    browser.cookies.update(cookies)
    assert (await browser.get("/account")).status_code == 200
    app.site = again
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    again.database.close()


async def test_a_poll_waits_until_something_changes(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens = await app.connect(browser)
    version = (await site.edge())["version"]
    waiting = asyncio.create_task(site.browser().get("/internal/edge", params={"after": version}))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    begin = time.monotonic()
    await app.http.post("/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": app.client["client_id"]})
    answer = await asyncio.wait_for(waiting, 5)
    assert time.monotonic() - begin < 5
    assert answer.json()["version"] != version
    assert claims(tokens["access_token"])["jti"] in answer.json()["revokedTokens"]


async def test_a_poll_without_change_ends_with_204(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_gateway.control.long_poll.HOLD_SECONDS", 0.05)
    version = (await site.edge())["version"]
    assert (await site.browser().get("/internal/edge", params={"after": version})).status_code == 204


async def test_stopping_ends_the_polls(site: Site) -> None:
    version = (await site.edge())["version"]
    waiting = asyncio.create_task(site.browser().get("/internal/edge", params={"after": version}))
    await asyncio.sleep(0.05)
    await site.control.feed.stop()
    assert (await asyncio.wait_for(waiting, 2)).status_code == 204


async def test_revocations_are_forgotten_when_the_tokens_have_expired(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens = await app.connect(browser)
    await app.http.post("/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": app.client["client_id"]})
    assert len((await site.edge())["revokedTokens"]) == 1
    site.clock.ahead += 301
    await site.control.upkeep.run_once()
    assert (await site.edge())["revokedTokens"] == {}


async def test_signing_keys_rotate_without_a_gap(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    first = await app.connect(browser)
    site.clock.ahead += 29 * 86400 + 86400
    await site.control.upkeep.run_once()
    published = {key["kid"] for key in (await site.edge())["jwks"]["keys"]}
    assert len(published) == 2
    browser = await signed_in(site)
    second = await app.connect(browser)
    assert _kid(second) == _kid(first)
    site.clock.ahead += 3601
    await site.control.upkeep.run_once()
    third = await app.connect(await signed_in(site))
    assert {_kid(third), _kid(second)} == published
    assert len((await site.edge())["jwks"]["keys"]) == 2
    site.clock.ahead += 3601
    await site.control.upkeep.run_once()
    assert [key["kid"] for key in (await site.edge())["jwks"]["keys"]] == [_kid(third)]


def _kid(tokens: dict[str, str]) -> str:
    header = tokens["access_token"].split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=="))["kid"])


@pytest.mark.parametrize(
    "change",
    [
        {"access": EVERYONE, "userValues": {"bob": {"X-Api-Key": "spaced "}}, "userSettings": [setting("X-Api-Key")]},
        {"access": EVERYONE, "userSettings": [setting("X-Mcp-User")]},
        {"access": EVERYONE | {"everyone": False, "users": ["carol"]}, "userSettings": [setting("X-Mcp-User")]},
        {"id": "under_score", "path": "/mcp-connect/under_score"},
    ],
    ids=[
        "a value with a blank at its end",
        "a header of the edge's own",
        "the same, not for the first user",
        "an id that the edge doesn't take",
    ],
)
async def test_what_the_edge_would_refuse_is_not_acknowledged_as_done(site: Site, change: dict[str, object]) -> None:
    """The edge would keep its last document, and a user who is removed by the same deploy would stay."""
    before = await site.edge()
    problems = await site.deliver(
        gateway_document(servers=[server("time") | change], users=[user("bob"), user("carol")])
    )
    assert len(problems) == 1
    assert problems[0].startswith("servers[0].")
    assert await site.edge() == before


async def test_a_flood_of_refused_token_requests_builds_few_documents(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, builds = site.control.feed, 0
    build = feed._build

    def counted(document: GatewayDocument) -> dict[str, object]:
        nonlocal builds
        builds += 1
        time.sleep(0.05)
        return build(document)

    monkeypatch.setattr(feed, "_build", counted)
    stranger = site.browser()
    answers = await asyncio.gather(*(stranger.post("/oauth/token", data={"grant_type": "no"}) for _ in range(40)))
    assert {answer.status_code for answer in answers} == {400}
    assert builds < 10
