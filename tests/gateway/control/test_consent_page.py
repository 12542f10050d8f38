"""Consent: what is asked, of whom, and that nobody else can answer."""

from __future__ import annotations

import html
import re

import httpx
import pytest
from mcp_gateway.state.schema import clients, consents

from tests.gateway.control.control_site import PUBLIC_URL, Site, gateway_document
from tests.gateway.control.flows import register, signed_in
from tests.gateway.control.page_forms import inputs, query_of
from tests.gateway.rules import rule

WEB = "https://app.example/cb"


@rule(35, 58)
async def test_the_page_says_who_asks_for_what_and_where_it_leads(site: Site) -> None:
    app = await register(site, "http://127.0.0.1:3333/callback", client_name="Some client")
    page = html.unescape((await app.authorize(await signed_in(site))).text)
    for shown in ("Some client", "Time", "<code>mcp</code>", "<strong>127.0.0.1:3333</strong>", app.redirect_uri):
        assert shown in page
    assert "Only allow this if you just started it yourself." in page
    web = await register(site, WEB)
    page = (await web.authorize(await signed_in(site))).text
    assert "<strong>app.example</strong>" in page
    assert "just started it yourself" not in page


@rule(56, 57)
async def test_consent_is_for_one_user_client_and_server(site: Site) -> None:
    app, other = await register(site, WEB), await register(site, WEB)
    alice, bob = await signed_in(site, "alice"), await signed_in(site, "bob")
    shared = app.resource("shared")
    await app.code(alice, resource=shared)
    # Remembered for this very thing,
    assert (await app.authorize(alice, resource=shared)).status_code == 303
    # and for nothing else.
    assert (await app.authorize(bob, resource=shared)).status_code == 200
    assert (await other.authorize(alice, resource=shared)).status_code == 200
    assert (await app.authorize(alice, resource=app.resource("time"))).status_code == 200


@rule(57)
async def test_changed_redirect_uris_or_scopes_are_asked_about_again(site: Site) -> None:
    app, browser = await register(site, WEB), await signed_in(site)
    await app.code(browser)
    with site.database.begin() as db:
        db.execute(clients.update().values(redirect_uris=[WEB, "https://app.example/other"]))
    assert (await app.authorize(browser)).status_code == 200
    await app.code(browser)
    assert (await app.authorize(browser)).status_code == 303
    with site.database.begin() as db:
        db.execute(consents.update().values(scope="less"))
    assert (await app.authorize(browser)).status_code == 200


@rule(35)
async def test_loopback_clients_are_asked_about_each_time(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    await app.code(browser)
    assert (await app.authorize(browser)).status_code == 200


@rule(59, 61)
async def test_an_answer_from_elsewhere_is_refused(site: Site) -> None:
    app, other = await register(site, WEB), await register(site, WEB)
    alice, bob = await signed_in(site), await signed_in(site, "bob")
    ticket = inputs((await app.authorize(alice, resource=app.resource("shared"))).text)
    again = await signed_in(site)
    sign_out = inputs((await alice.get("/account")).text)["form_token"]
    attempts: list[tuple[httpx.AsyncClient, dict[str, str]]] = [
        (alice, {}),
        (alice, {"ticket": ""}),
        (alice, {"ticket": ticket["ticket"][:-4] + "AAAA"}),
        (alice, {"ticket": sign_out}),
        (bob, ticket),
        (again, ticket),
        (site.browser(), ticket),
    ]
    for browser, form in attempts:
        answer = await browser.post("/oauth/consent", data=form | {"decision": "allow"})
        assert answer.status_code == 403
        assert "location" not in answer.headers
    changed = ticket | {"client_id": other.client["client_id"], "redirect_uri": "https://evil.example/"}
    answer = await alice.post("/oauth/consent", data=changed | {"decision": "allow"})
    assert answer.headers["location"].startswith(f"{WEB}?code=")
    site.clock.ahead += 601
    late = await alice.post("/oauth/consent", data=ticket | {"decision": "allow"})
    assert late.status_code == 403


@rule(59)
async def test_consent_can_only_be_posted(site: Site) -> None:
    assert (await (await signed_in(site)).get("/oauth/consent")).status_code == 405


async def test_what_may_not_be_used_any_more_is_not_granted_by_an_old_page(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    form = inputs((await app.authorize(browser)).text)
    assert await site.deliver(gateway_document(servers=[])) == []
    answer = await browser.post("/oauth/consent", data=form | {"decision": "allow"})
    assert query_of(answer.headers["location"])["error"] == "invalid_target"


@rule(60)
async def test_no_page_can_be_framed_cached_or_scripted_by_a_stranger(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    pages = [
        await site.browser().get("/sign-in"),
        await app.authorize(browser),
        await app.authorize(browser, client_id="unknown"),
        await browser.get("/"),
        await browser.get("/account"),
        await browser.get("/nothing"),
    ]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'")
        assert "frame-ancestors 'none'" in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (
            re.sub(r'<script src="/static/portal\.js\?[0-9a-f]{12}" defer></script>', "", page.text).count("<script")
            == 0
        )
        assert "style=" not in page.text
    for page in pages[:3]:
        assert "script-src" not in page.headers["content-security-policy"]
    assert "form-action 'self' http://127.0.0.1:3333;" in pages[1].headers["content-security-policy"]


@pytest.mark.parametrize("target", ["a.example; script-src *", "x' 'unsafe-inline", "a.example/*"])
async def test_a_redirect_uri_cannot_change_the_policy_of_the_sign_in_page(site: Site, target: str) -> None:
    onward = httpx.URL("/oauth/authorize", params={"redirect_uri": f"https://{target}"})
    page = await site.browser().get("/sign-in", params={"onward": str(onward)})
    policy = page.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert policy.count(";") == 5


async def test_the_start_page_lists_what_the_user_may_use(site: Site) -> None:
    alice, bob = await signed_in(site), await signed_in(site, "bob")
    page = (await alice.get("/")).text
    assert all(f'href="/servers/{name}"' in page for name in ("time", "notes", "shared"))
    assert "/servers/hidden" not in page
    assert f"{PUBLIC_URL}/mcp-connect/time" in (await alice.get("/servers/time")).text
    page = (await bob.get("/")).text
    assert "/servers/shared" in page
    assert "/servers/time" not in page
    assert (await site.browser().get("/")).headers["location"] == "/sign-in"


async def test_a_user_can_disconnect_an_application(site: Site) -> None:
    app, browser = await register(site, WEB, client_name="Old laptop"), await signed_in(site)
    tokens = await app.connect(browser)
    page = await browser.get("/account")
    assert "Old laptop" in page.text
    token = inputs(page.text)["form_token"]
    form = {"client_id": app.client["client_id"], "form_token": token}
    assert (await browser.post("/account/applications/forget", data=form | {"form_token": "x"})).status_code == 403
    assert (await (await signed_in(site, "bob")).post("/account/applications/forget", data=form)).status_code == 403
    assert (await browser.post("/account/applications/forget", data=form)).status_code == 303
    assert "Old laptop" not in (await browser.get("/account")).text
    assert len((await site.edge())["revokedTokens"]) == 1
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await app.authorize(browser)).status_code == 200
