"""Desktop apps that are called back by a private-use URI scheme (RFC 8252 section 7.1): refused unless listed."""

from __future__ import annotations

import html
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.authorization.client_documents import UnusableClient, parse_client_document
from mcp_gateway.authorization.redirect_uris import is_registered
from mcp_gateway.authorization.ssrf import Answer
from mcp_gateway.documents.native_redirect_uris import native_redirect_uri_problem

from tests.gateway.control.control_site import Site, gateway_document, registration
from tests.gateway.control.flows import register, signed_in
from tests.gateway.control.page_forms import inputs, query_of
from tests.gateway.rules import rule

CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"
CURSOR_ALL = [CURSOR, "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"]
"""What Cursor registers, all in one request."""
VARIANTS = [
    "cursor://anysphere.cursor-mcp/oauth/callback/",
    "cursor://anysphere.cursor-mcp/oauth/callback?x=1",
    "cursor://anysphere.cursor-mcp/oauth/callback#f",
    "cursor://anysphere.cursor-mcp/oauth/CALLBACK",
    "cursor://anysphere.cursor-mcp/oauth/../oauth/callback",
    "CURSOR://anysphere.cursor-mcp/oauth/callback",
    "cursor://user@anysphere.cursor-mcp/oauth/callback",
    "cursor://anysphere.cursor-mcp:1/oauth/callback",
    "cursor://anysphere.cursor-deeplink/mcp/install",
    "cursor:/oauth/callback",
    "cursor-x://anysphere.cursor-mcp/oauth/callback",
    "vscode://anysphere.cursor-mcp/oauth/callback",
    "javascript:alert(1)//cursor://anysphere.cursor-mcp/oauth/callback",
]


@pytest.fixture
async def listing(site: Site) -> Site:
    """A site whose stack lists Cursor's URI."""
    assert await site.deliver(gateway_document(registration=registration(nativeRedirectUris=[CURSOR]))) == []
    return site


async def registering(site: Site, *uris: str) -> httpx.Response:
    return await site.browser().post("/oauth/register", json={"redirect_uris": list(uris)})


@rule(38)
async def test_an_apps_scheme_is_refused_by_default_and_the_answer_names_the_setting(site: Site) -> None:
    answer = await registering(site, *CURSOR_ALL)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")
    assert "redirect_uris[0]" in answer.json()["error_description"]
    assert "gateway.registration.nativeRedirectUris" in answer.json()["error_description"]


@rule(37, 38)
async def test_the_listed_uri_registers_and_connects(listing: Site) -> None:
    app, browser = await register(listing, CURSOR, redirect_uris=CURSOR_ALL), await signed_in(listing)
    assert app.client["redirect_uris"] == CURSOR_ALL
    page = await app.authorize(browser)
    answer = await browser.post("/oauth/consent", data=inputs(page.text) | {"decision": "allow"})
    location = answer.headers["location"]
    assert (answer.status_code, location.partition("?")[0]) == (303, CURSOR)
    assert query_of(location).keys() == {"code", "iss", "state"}
    assert (await app.redeem(query_of(location)["code"])).status_code == 200


@rule(38, 46, 47)
@pytest.mark.parametrize("uri", VARIANTS)
async def test_any_other_uri_is_refused_at_registration_and_at_authorization(listing: Site, uri: str) -> None:
    answer = await registering(listing, CURSOR, uri)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")
    app = await register(listing, CURSOR)
    page = await app.authorize(await signed_in(listing), redirect_uri=uri)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert "href=" not in page.text.partition("<main")[2].replace('href="/"', "")


@rule(46)
@given(st.text(max_size=40))
def test_only_the_very_uri_matches(text: str) -> None:
    for candidate in (CURSOR + text, text + CURSOR, text):
        assert is_registered(candidate, [CURSOR], [CURSOR]) == (candidate == CURSOR)


@rule(46)
async def test_a_listed_uri_is_only_for_clients_that_registered_it(listing: Site) -> None:
    app = await register(listing, "http://127.0.0.1:3333/callback")
    assert (await app.authorize(await signed_in(listing), redirect_uri=CURSOR)).status_code == 400


@rule(58)
async def test_the_consent_page_warns_and_lets_the_form_lead_to_that_scheme_only(listing: Site) -> None:
    app = await register(listing, CURSOR, client_name="Cursor")
    page = await app.authorize(await signed_in(listing))
    shown = " ".join(html.unescape(page.text).split())
    assert "An app on your own computer receives it: the one that opens cursor: links there" in shown
    assert "Only allow this if you just started it yourself." in shown
    assert CURSOR in shown
    assert "form-action 'self' cursor:;" in page.headers["content-security-policy"]


@rule(60)
async def test_the_sign_in_page_leads_to_listed_schemes_only(listing: Site) -> None:
    for uri, source in ((CURSOR, " cursor:;"), (VARIANTS[0], ";"), ("vscode://a/b", ";")):
        onward = httpx.URL("/oauth/authorize", params={"redirect_uri": uri})
        policy = (await listing.browser().get("/sign-in", params={"onward": str(onward)})).headers
        assert f"form-action 'self'{source}" in policy["content-security-policy"]


@rule(35)
async def test_apps_are_asked_about_each_time(listing: Site) -> None:
    app, browser = await register(listing, CURSOR), await signed_in(listing)
    await app.code(browser)
    assert (await app.authorize(browser)).status_code == 200


@rule(47)
async def test_an_error_starts_no_app_that_the_user_never_allowed(listing: Site) -> None:
    app, browser = await register(listing, CURSOR), await signed_in(listing)
    page = await app.authorize(browser, scope="wrong")
    assert page.status_code == 400
    assert "location" not in page.headers
    assert "return to cursor:" in page.text
    await app.connect(browser)
    answer = await app.authorize(browser, scope="wrong")
    assert answer.headers["location"].startswith(f"{CURSOR}?error=invalid_scope&")


async def test_a_uri_that_leaves_the_list_ends_for_clients_and_for_open_pages(listing: Site) -> None:
    app, browser = await register(listing, CURSOR), await signed_in(listing)
    form = inputs((await app.authorize(browser)).text)
    assert await listing.deliver(gateway_document()) == []
    for decision in ("allow", "deny"):
        answer = await browser.post("/oauth/consent", data=form | {"decision": decision})
        assert answer.status_code == 400
        assert "location" not in answer.headers
    assert (await app.authorize(browser)).status_code == 400


@rule(32)
def test_of_a_published_client_only_the_listed_uri_counts() -> None:
    url = "https://app.example/client.json"
    document = f'{{"client_id": "{url}", "client_name": "App", "redirect_uris": ["{CURSOR}", "vscode://a/b"]}}'
    answer = Answer(200, {}, document.encode())
    assert parse_client_document(url, answer, (CURSOR,)).redirect_uris == (CURSOR,)
    with pytest.raises(UnusableClient, match="nativeRedirectUris"):
        parse_client_document(url, answer, ())


@pytest.mark.parametrize("uri", ["https://a.example/cb", "javascript:/alert(1)", "cursor://a/*", "cursor://a/b#c", ""])
async def test_a_document_with_a_uri_that_is_not_one_apps_is_refused(site: Site, uri: str) -> None:
    document: dict[str, Any] = gateway_document(registration=registration(nativeRedirectUris=[CURSOR, uri]))
    (problem,) = await site.deliver(document)
    assert "registration.nativeRedirectUris" in problem


@rule(38)
@given(st.text(max_size=40))
def test_what_can_be_listed_never_leads_a_browser_to_a_site_or_a_script(text: str) -> None:
    for scheme in ("http", "https", "javascript", "data", "file", "blob", "about", "vbscript", "JavaScript", "hTTp"):
        assert native_redirect_uri_problem(f"{scheme}:{text}")
        assert native_redirect_uri_problem(f"{scheme}://a.example/{text}")
