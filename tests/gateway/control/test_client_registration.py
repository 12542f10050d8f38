"""Dynamic registration, and how registered clients prove who they are."""

from __future__ import annotations

import base64

import pytest
from mcp_gateway.authorization.registration import parse_registration

from tests.gateway.control.control_site import Site
from tests.gateway.control.flows import register, signed_in
from tests.gateway.rules import rule


@rule(37, 39)
async def test_registration_answers_201_and_echoes_what_is_registered(site: Site) -> None:
    body = {
        "client_name": "My client",
        "redirect_uris": ["http://127.0.0.1:5555/cb", "https://app.example/cb"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
        "scope": "mcp",
        "software_id": "is left out",
    }
    answer = await site.browser().post("/oauth/register", json=body)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    registered = answer.json()
    assert registered["client_id"]
    assert "client_secret" not in registered
    assert {name: registered[name] for name in body if name != "software_id"} == {
        name: value for name, value in body.items() if name != "software_id"
    }
    assert site.events("client-registered")[0]["client"] == registered["client_id"]


@rule(38)
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "http://app.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "https://app.example/cb#part",
        "https://*.example/cb",
        "https://app.example/*",
        "https://user@app.example/cb",
        "https://app.example\\@evil.example/",
        "https://app.example/ cb",
        "https://app.example/\r\nX: y",
        "http://localhost.evil.example/",
        "http://[::2]/",
        "https://",
        "cb",
        "",
        "file:///etc/passwd",
        "app://callback",
        "https://app.example/" + "a" * 3000,
        7,
        None,
    ],
)
async def test_a_bad_redirect_uri_is_refused(site: Site, uri: object) -> None:
    answer = await site.browser().post("/oauth/register", json={"redirect_uris": ["https://app.example/cb", uri]})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


@rule(38)
@pytest.mark.parametrize("metadata", [{}, {"redirect_uris": []}, {"redirect_uris": "https://app.example/"}])
async def test_redirect_uris_must_be_given(site: Site, metadata: dict[str, object]) -> None:
    answer = await site.browser().post("/oauth/register", json=metadata)
    assert answer.json()["error"] == "invalid_redirect_uri"


@rule(38)
@pytest.mark.parametrize(
    "changes",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"grant_types": ["password"]},
        {"grant_types": "authorization_code"},
        {"response_types": ["token"]},
        {"application_type": "toaster"},
        {"client_name": {"a": 1}},
    ],
)
async def test_metadata_that_is_not_supported_is_refused(site: Site, changes: dict[str, object]) -> None:
    answer = await site.browser().post("/oauth/register", json={"redirect_uris": ["https://app.example/cb"], **changes})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


@rule(38, 95)
async def test_a_registration_that_is_too_large_or_no_object_is_refused(site: Site) -> None:
    browser = site.browser()
    large = await browser.post("/oauth/register", json={"redirect_uris": ["https://a.example/"], "x": "y" * 70_000})
    assert large.status_code == 413
    for body in (b"[]", b"{", b"null", b"\xff"):
        answer = await browser.post("/oauth/register", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400


@rule(38)
async def test_registrations_are_limited_for_each_address(site: Site) -> None:
    hasty = site.browser("198.51.100.1")
    codes = [(await hasty.post("/oauth/register", json={})).status_code for _ in range(61)]
    assert codes[-1] == 429
    assert (await site.browser("198.51.100.2").post("/oauth/register", json={})).status_code == 400
    site.clock.ahead += 20
    assert (await hasty.post("/oauth/register", json={})).status_code == 400


@rule(38)
async def test_a_name_is_shown_escaped_on_one_line(site: Site) -> None:
    app = await register(site, client_name="<script>alert(1)</script>\n\u202eevil")
    page = (await app.authorize(await signed_in(site))).text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; evil" in page


def test_scopes_that_do_not_exist_are_replaced() -> None:
    body = b'{"redirect_uris": ["https://a.example/"], "scope": "openid everything"}'
    assert parse_registration(body, ()).scope == "mcp"


def test_a_client_without_a_name_gets_one() -> None:
    assert parse_registration(b'{"redirect_uris": ["https://a.example/"]}', ()).name == "Unnamed application"


async def test_unused_clients_are_deleted_after_a_day(site: Site) -> None:
    used, unused = await register(site), await register(site)
    browser = await signed_in(site)
    await used.connect(browser)
    site.clock.ahead += 86500
    await site.control.upkeep.run_once()
    browser = await signed_in(site)
    assert (await unused.authorize(browser)).status_code == 400
    assert (await used.authorize(browser)).status_code == 200


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_client_with_a_secret_has_to_show_it_its_own_way(site: Site, method: str) -> None:
    app = await register(site, token_endpoint_auth_method=method)
    client_id, secret = app.client["client_id"], app.client["client_secret"]
    code = await app.code(await signed_in(site))

    def basic(value: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{value}".encode()).decode()}

    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": app.redirect_uri,
        "code_verifier": app.verifier,
    }
    right = {
        "client_secret_basic": (form, basic(secret)),
        "client_secret_post": ({**form, "client_id": client_id, "client_secret": secret}, {}),
    }
    wrong = [
        ({**form, "client_id": client_id}, {}),
        (form, basic("wrong")),
        ({**form, "client_id": client_id, "client_secret": "wrong"}, {}),
        (form, {"Authorization": "Bearer x"}),
        (form, {"Authorization": "Basic !!"}),
        *(attempt for name, attempt in right.items() if name != method),
    ]
    for data, headers in wrong:
        answer = await app.http.post("/oauth/token", data=data, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")
    data, headers = right[method]
    assert (await app.http.post("/oauth/token", data=data, headers=headers)).status_code == 200


async def test_an_unknown_client_is_told_so(site: Site) -> None:
    app = await register(site)
    answer = await app.redeem("x", client_id="client-unknown")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
