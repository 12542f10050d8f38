"""Redirect URIs: what counts as registered, and that nothing else is ever redirected to."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.authorization.redirect_uris import (
    form_action_source,
    is_registered,
    redirect_uri_problem,
    with_response,
)

from tests.gateway.control.control_site import Site
from tests.gateway.control.flows import register, signed_in
from tests.gateway.control.page_forms import query_of
from tests.gateway.rules import rule

HTTPS = "https://app.example/cb"
LOOPBACK = "http://127.0.0.1:3333/callback"
VARIANTS = [
    "https://app.example/cb/",
    "https://app.example/cb/more",
    "https://app.example/cb?x=1",
    "https://app.example/CB",
    "https://APP.example/cb",
    "HTTPS://app.example/cb",
    "https://user@app.example/cb",
    "https://app.example@evil.example/cb",
    "https://sub.app.example/cb",
    "https://app.example.evil.example/cb",
    "https://app.example:443/cb",
    "https://app.example:8443/cb",
    "https://app.example/./cb",
    "https://app.example/x/../cb",
    "https://app.example/%63b",
    "https://app.example/cb#f",
    "https://app.example\\/cb",
    "https://app.example/cb%00",
    "https://app.example/cb\n",
    "http://app.example/cb",
    "//app.example/cb",
    "javascript:alert(1)//https://app.example/cb",
    "http://127.0.0.1:3333/callback/",
    "http://127.0.0.1:3333/other",
    "http://127.0.0.1:3333/callback?x=1",
    "http://localhost:3333/callback",
    "http://[::1]:3333/callback",
    "http://127.0.0.2:3333/callback",
    "http://127.0.0.1:3333@evil.example/callback",
    "http://127.0.0.1.evil.example:3333/callback",
    "http://127.1:3333/callback",
    "https://127.0.0.1:3333/callback",
    "http://127.0.0.1:port/callback",
]


@rule(46, 47)
@pytest.mark.parametrize("uri", VARIANTS)
async def test_a_uri_that_is_not_registered_gets_an_error_page(site: Site, uri: str) -> None:
    app = await register(site, HTTPS, redirect_uris=[HTTPS, LOOPBACK])
    for browser in (site.browser(), await signed_in(site)):
        answer = await app.authorize(browser, redirect_uri=uri)
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "redirect_uri" in answer.text


@rule(47)
@pytest.mark.parametrize("client_id", ["client-unknown", "", "<script>"])
async def test_an_unknown_client_gets_an_error_page(site: Site, client_id: str) -> None:
    app = await register(site)
    answer = await app.authorize(await signed_in(site), client_id=client_id)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "<script" not in answer.text


@rule(47)
async def test_errors_go_by_themselves_to_trusted_uris_only(site: Site) -> None:
    app, browser = await register(site, HTTPS), await signed_in(site)
    first = await app.authorize(browser, scope="wrong")
    assert first.status_code == 400
    assert "return to app.example" in first.text
    await app.connect(browser)
    answer = await app.authorize(browser, scope="wrong")
    assert urlsplit(answer.headers["location"]).netloc == "app.example"
    assert query_of(answer.headers["location"])["error"] == "invalid_scope"


@rule(46)
async def test_the_port_of_a_loopback_uri_may_be_another(site: Site) -> None:
    app, browser = await register(site, LOOPBACK), await signed_in(site)
    app.redirect_uri = "http://127.0.0.1:61234/callback"
    code = await app.code(browser)
    assert (await app.redeem(code)).status_code == 200


@rule(46)
@given(st.text(max_size=40), st.sampled_from([HTTPS, LOOPBACK, "http://[::1]/", "http://localhost?a=b"]))
def test_only_the_very_uri_or_another_loopback_port_matches(suffix: str, known: str) -> None:
    for candidate in (known + suffix, suffix + known, suffix):
        if is_registered(candidate, [known], ()):
            one, other = urlsplit(candidate), urlsplit(known)
            assert (one.scheme, one.hostname, one.path, one.query) == (
                other.scheme,
                other.hostname,
                other.path,
                other.query,
            )
            assert candidate == known or one.hostname in {"127.0.0.1", "::1", "localhost"}
            assert (one.username, one.password, one.fragment) == (None, None, "")


@rule(38, 46)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_what_may_be_registered_is_https_or_loopback_for_every_parser(text: str) -> None:
    for uri in (text, f"https://{text}", f"http://127.0.0.1{text}", f"http://localhost:{text}"):
        if redirect_uri_problem(uri, ()) is None:
            parts = urlsplit(uri)
            assert parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"})
            assert parts.hostname
            assert parts.username is None
            assert not set("#\\*\r\n\t '\"<>") & (set(uri) - {"'"})


@given(st.text(max_size=60))
def test_a_policy_source_never_holds_more_than_one_source(text: str) -> None:
    source = form_action_source(f"https://{text}", ())
    assert not set(" ;,'") & set(source)


def test_the_response_is_added_to_the_query_that_is_there() -> None:
    assert with_response("https://a.example/cb?x=%20", {"code": "a&b"}) == "https://a.example/cb?x=%20&code=a%26b"
    assert with_response("https://a.example/cb", {"code": "1"}) == "https://a.example/cb?code=1"
