"""The code flow: PKCE, codes, resources, refresh, state and issuer."""

from __future__ import annotations

import json
from urllib.parse import urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.gateway.control.control_site import PUBLIC_URL, Site, gateway_document, server
from tests.gateway.control.flows import claims, register, signed_in
from tests.gateway.control.page_forms import inputs, query_of
from tests.gateway.rules import rule


@rule(48, 52)
async def test_a_token_is_for_the_resource_that_was_asked_for_and_lives_minutes(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens = await app.connect(browser)
    keys = KeySet.import_key_set((await site.edge())["jwks"])
    token = jwt.decode(tokens["access_token"], keys, algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["aud"] == f"{PUBLIC_URL}/mcp-connect/time"
    assert token.claims["iss"] == PUBLIC_URL
    assert token.claims["client_id"] == app.client["client_id"]
    assert token.claims["scope"] == "mcp"
    assert token.claims["exp"] - token.claims["iat"] == tokens["expires_in"] == 300
    assert token.claims["nbf"] == token.claims["iat"]
    assert {"jti", "fam"} < set(token.claims)
    assert (await site.edge())["subjects"][token.claims["sub"]] == {"login": "alice"}
    assert "alice" not in json.dumps(token.claims)


@rule(41, 42)
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "too-short"},
    ],
)
async def test_a_request_without_pkce_s256_is_refused(site: Site, changes: dict[str, str | None]) -> None:
    app = await register(site)
    answer = await app.authorize(await signed_in(site), **changes)
    assert query_of(answer.headers["location"])["error"] == "invalid_request"


@rule(43)
@pytest.mark.parametrize("verifier", ["w" * 64, "", "short", "ü" * 64])
async def test_a_code_needs_its_verifier(site: Site, verifier: str) -> None:
    app = await register(site)
    code = await app.code(await signed_in(site))
    answer = await app.redeem(code, code_verifier=verifier)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_grant", "invalid_request"}
    missing = await app.token(grant_type="authorization_code", code=code, redirect_uri=app.redirect_uri)
    assert missing.status_code == 400
    assert (await app.redeem(code)).status_code == 200


@rule(44)
async def test_a_code_used_twice_revokes_what_it_gave(site: Site) -> None:
    app = await register(site)
    code = await app.code(await signed_in(site))
    first = (await app.redeem(code)).json()
    replay = await app.redeem(code)
    assert (replay.status_code, replay.json()["error"]) == (400, "invalid_grant")
    assert claims(first["access_token"])["jti"] in (await site.edge())["revokedTokens"]
    assert (await app.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"


@rule(45)
async def test_a_code_is_bound_to_client_redirect_uri_and_resource(site: Site) -> None:
    app, other, browser = await register(site), await register(site), await signed_in(site)
    code = await app.code(browser)
    assert (await app.redeem(code, client_id=other.client["client_id"])).json()["error"] == "invalid_grant"
    assert (await app.redeem(code, redirect_uri="http://127.0.0.1:4444/callback")).json()["error"] == "invalid_grant"
    assert (await app.redeem(code, resource=app.resource("notes"))).json()["error"] == "invalid_target"
    assert (await app.redeem(code)).status_code == 200


@rule(45)
async def test_a_code_expires_within_a_minute(site: Site) -> None:
    app = await register(site)
    code = await app.code(await signed_in(site))
    site.clock.ahead += 61
    assert (await app.redeem(code)).json()["error"] == "invalid_grant"


@rule(48)
@pytest.mark.parametrize("resource", [f"{PUBLIC_URL}/mcp-connect/none", "https://elsewhere.example/mcp", PUBLIC_URL])
async def test_an_unknown_resource_is_refused(site: Site, resource: str) -> None:
    app = await register(site)
    answer = await app.authorize(await signed_in(site), resource=resource)
    assert query_of(answer.headers["location"])["error"] == "invalid_target"


@rule(20, 48)
async def test_a_resource_of_others_answers_like_an_unknown_one(site: Site) -> None:
    app, browser = await register(site), await signed_in(site, "bob")
    forbidden = await app.authorize(browser, resource=app.resource("time"))
    unknown = await app.authorize(browser, resource=app.resource("none"))
    assert forbidden.headers["location"] == unknown.headers["location"]
    assert forbidden.status_code == unknown.status_code
    stranger = site.browser()
    first, second = [await app.authorize(stranger, resource=app.resource(name)) for name in ("time", "none")]
    assert urlsplit(first.headers["location"]).path == urlsplit(second.headers["location"]).path == "/sign-in"


@rule(49)
async def test_a_request_without_resource_gets_no_token(site: Site) -> None:
    app = await register(site)
    answer = await app.authorize(await signed_in(site), resource=None)
    assert query_of(answer.headers["location"])["error"] == "invalid_target"


@rule(14)
async def test_a_resource_in_capitals_is_the_same_and_a_fragment_is_refused(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    code = await app.code(browser, resource="HTTP://127.0.0.1:8765/mcp-connect/time")
    tokens = (await app.redeem(code)).json()
    assert claims(tokens["access_token"])["aud"] == f"{PUBLIC_URL}/mcp-connect/time"
    answer = await app.authorize(browser, resource=app.resource() + "#part")
    assert query_of(answer.headers["location"])["error"] == "invalid_target"


@rule(14)
@pytest.mark.parametrize("resource", ["http://[", "http://a:b/", "x", "//", "http://u@127.0.0.1:8765/mcp-connect/time"])
async def test_a_malformed_resource_is_refused_and_not_a_failure(site: Site, resource: str) -> None:
    app = await register(site)
    answer = await app.authorize(await signed_in(site), resource=resource)
    assert query_of(answer.headers["location"])["error"] == "invalid_target"


@rule(24, 25, 50)
async def test_state_comes_back_byte_by_byte_with_the_issuer(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    state = "a b+c%20&=#\"'<ü>\\~/?"
    page = await app.authorize(browser, state=state)
    good = await browser.post("/oauth/consent", data=inputs(page.text) | {"decision": "allow"})
    denied = await browser.post("/oauth/consent", data=inputs(page.text) | {"decision": "deny"})
    wrong = await app.authorize(browser, state=state, scope="everything")
    for answer in (good, denied, wrong):
        response = query_of(answer.headers["location"])
        assert response["state"] == state
        assert response["iss"] == PUBLIC_URL
    assert query_of(denied.headers["location"])["error"] == "access_denied"
    assert query_of(wrong.headers["location"])["error"] == "invalid_scope"
    metadata = (await browser.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["authorization_response_iss_parameter_supported"] is True


@rule(50)
@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "code_challenge", "scope", "response_type"])
async def test_a_parameter_given_twice_is_refused(site: Site, name: str) -> None:
    app, browser = await register(site), await signed_in(site)
    query = urlencode(app.request()) + "&" + urlencode({name: app.request()[name]})
    answer = await browser.get(f"/oauth/authorize?{query}")
    assert answer.status_code == 400
    assert "invalid_request" in answer.text


@rule(50, 48)
async def test_two_resources_in_one_request_are_refused(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    query = urlencode(app.request()) + "&" + urlencode({"resource": app.resource("notes")})
    answer = await browser.get(f"/oauth/authorize?{query}")
    assert query_of(answer.headers["location"])["error"] == "invalid_target"
    twice = await app.http.post(
        "/oauth/token",
        content="grant_type=refresh_token&refresh_token=a&refresh_token=b&client_id=c",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert twice.json()["error"] == "invalid_request"


@rule(28)
async def test_no_implicit_and_no_password_grant(site: Site) -> None:
    app = await register(site)
    answer = await app.authorize(await signed_in(site), response_type="token")
    assert query_of(answer.headers["location"])["error"] == "unsupported_response_type"
    password = await app.token(grant_type="password", username="alice", password="correct horse")
    assert (password.status_code, password.json()["error"]) == (400, "unsupported_grant_type")


@rule(51)
async def test_refresh_rotates_and_reuse_revokes_the_family(site: Site) -> None:
    app = await register(site)
    first = await app.connect(await signed_in(site))
    second = (await app.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert claims(second["access_token"])["fam"] == claims(first["access_token"])["fam"]
    reuse = await app.refresh(first["refresh_token"])
    assert (reuse.status_code, reuse.json()["error"]) == (400, "invalid_grant")
    assert (await app.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
    revoked = (await site.edge())["revokedTokens"]
    assert {claims(tokens["access_token"])["jti"] for tokens in (first, second)} <= set(revoked)


@rule(51)
async def test_a_refresh_token_is_of_its_client_only(site: Site) -> None:
    app, other = await register(site), await register(site)
    tokens = await app.connect(await signed_in(site))
    stolen = await other.refresh(tokens["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


@rule(54)
async def test_refresh_widens_nothing(site: Site) -> None:
    app = await register(site)
    tokens = await app.connect(await signed_in(site))
    wider = await app.refresh(tokens["refresh_token"], scope="mcp admin")
    elsewhere = await app.refresh(tokens["refresh_token"], resource=app.resource("notes"))
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (400, "invalid_target")
    again = await app.refresh(tokens["refresh_token"], scope="mcp", resource=app.resource())
    assert claims(again.json()["access_token"])["aud"] == app.resource()


@rule(55)
async def test_token_responses_are_not_cached_and_errors_are_json(site: Site) -> None:
    app = await register(site)
    code = await app.code(await signed_in(site))
    good, bad = await app.redeem(code), await app.redeem("unknown")
    other_type = await app.http.post("/oauth/token", json={"grant_type": "authorization_code"})
    for answer in (good, bad, other_type):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
    assert good.json()["token_type"] == "Bearer"
    assert bad.json()["error"] == "invalid_grant"
    assert other_type.json()["error"] == "invalid_request"


async def test_a_user_who_lost_access_gets_no_more_tokens(site: Site) -> None:
    app = await register(site)
    tokens = await app.connect(await signed_in(site))
    nobody = {"everyone": False, "users": ["bob"], "groups": []}
    assert await site.deliver(gateway_document(servers=[server("time", access=nobody)])) == []
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    edge = await site.edge()
    assert claims(tokens["access_token"])["jti"] in edge["revokedTokens"]
    assert edge["subjects"].keys() - edge["servers"][0]["subjects"] == {claims(tokens["access_token"])["sub"]}


async def test_a_client_that_did_not_ask_for_refresh_tokens_gets_none(site: Site) -> None:
    app = await register(site, grant_types=["authorization_code"])
    assert "refresh_token" not in await app.connect(await signed_in(site))


async def test_offline_access_is_accepted_and_not_granted(site: Site) -> None:
    app, browser = await register(site), await signed_in(site)
    tokens = (await app.redeem(await app.code(browser, scope="mcp offline_access"))).json()
    assert tokens["scope"] == "mcp"


@pytest.mark.parametrize("by", ["refresh_token", "access_token"])
async def test_a_client_can_give_its_tokens_back(site: Site, by: str) -> None:
    app, other = await register(site), await register(site)
    tokens = await app.connect(await signed_in(site))
    foreign = await app.http.post("/oauth/revoke", data={"token": tokens[by], "client_id": other.client["client_id"]})
    assert foreign.status_code == 200
    assert (await site.edge())["revokedTokens"] == {}
    answer = await app.http.post("/oauth/revoke", data={"token": tokens[by], "client_id": app.client["client_id"]})
    assert answer.status_code == 200
    assert claims(tokens["access_token"])["jti"] in (await site.edge())["revokedTokens"]
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    unknown = await app.http.post("/oauth/revoke", data={"token": "x", "client_id": app.client["client_id"]})
    assert unknown.status_code == 200
