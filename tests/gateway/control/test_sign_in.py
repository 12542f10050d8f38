"""Signing in: passwords, limits, cookies, sessions."""

from __future__ import annotations

import re
import time

import httpx
import pytest
from argon2 import extract_parameters
from mcp_gateway.login.attempts import AttemptLimit, RateLimit
from mcp_gateway.login.browser_names import browser_name
from mcp_gateway.login.passwords import decoy_hash, password_matches
from mcp_gateway.login.sign_in import safe_onward

from tests.gateway.control.control_site import HASHES, PASSWORDS, Site, gateway_document
from tests.gateway.control.flows import register, sign_in, signed_in
from tests.gateway.control.page_forms import inputs
from tests.gateway.rules import rule


async def test_the_right_password_signs_in(site: Site) -> None:
    browser = site.browser()
    assert (await sign_in(browser, "alice")).headers["location"] == "/"
    assert "Signed in as Alice" in (await browser.get("/")).text
    assert site.events("sign-in")[0] | {"time": ""} == {
        "time": "",
        "log": "audit",
        "event": "sign-in",
        "login": "alice",
        "subject": site.events("sign-in")[0]["subject"],
        "address": "192.0.2.10",
    }


@pytest.mark.parametrize(("login", "password"), [("alice", "wrong"), ("alice", ""), ("bob", PASSWORDS["alice"])])
async def test_a_wrong_password_does_not(site: Site, login: str, password: str) -> None:
    browser = site.browser()
    answer = await sign_in(browser, login, password=password)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers or "mcp-session" not in answer.headers["set-cookie"]
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_an_unknown_login_answers_like_a_wrong_password(site: Site) -> None:
    unknown = await sign_in(site.browser(), "nobody", password="x")
    wrong = await sign_in(site.browser(), "alice", password="x")
    strip = re.compile(r'value="[^"]*"')
    assert strip.sub("", unknown.text) == strip.sub("", wrong.text)
    assert unknown.status_code == wrong.status_code


def test_an_unknown_login_costs_the_same_work() -> None:
    decoy = decoy_hash(HASHES["alice"])
    assert extract_parameters(decoy) == extract_parameters(HASHES["alice"])
    begin = time.process_time()
    assert not password_matches(decoy, "x")
    spent = time.process_time() - begin
    begin = time.process_time()
    assert not password_matches(HASHES["alice"], "x")
    assert spent > (time.process_time() - begin) / 4
    assert not password_matches(HASHES["alice"], "x" * 2000)


async def test_attempts_at_an_account_are_slowed_down_from_every_address(site: Site) -> None:
    for number in range(5):
        assert (await sign_in(site.browser(f"192.0.2.{number}"), "alice", password="x")).status_code == 401
    answer = await sign_in(site.browser("192.0.2.99"), "alice")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert (await sign_in(site.browser(), "bob")).status_code == 303
    site.clock.ahead += 2
    assert (await sign_in(site.browser(), "alice")).status_code == 303


async def test_attempts_from_an_address_are_slowed_down_for_every_account(site: Site) -> None:
    for number in range(30):
        assert (await sign_in(site.browser(), f"user{number}", password="x")).status_code == 401
    assert (await sign_in(site.browser(), "alice")).status_code == 429
    assert (await sign_in(site.browser("192.0.2.11"), "alice")).status_code == 303


def test_waits_double_up_to_a_limit_and_are_forgotten() -> None:
    limit, now, waits = AttemptLimit(free=2, longest=8, forget=100), 0.0, []
    assert limit.begin("a", now) == 0
    for _ in range(6):
        assert limit.begin("a", now) == 0
        waits.append(limit.begin("a", now))
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 8, 8]
    assert limit.begin("a", now + 200) == 0
    assert limit.begin("a", now + 200) == 0


def test_limits_keep_no_more_keys_than_they_may() -> None:
    limit, bucket = AttemptLimit(free=1, longest=8, capacity=3), RateLimit(1, 1.0, capacity=3)
    for number in range(10):
        limit.begin(str(number), 0)
        bucket.take(str(number), 0)
    assert list(limit.entries) == list(bucket.levels) == ["7", "8", "9"]
    assert bucket.take("9", 0.5) == 0.5
    assert bucket.take("9", 1.0) == 0


@rule(61)
async def test_cookies_on_https_carry_the_host_prefix(site: Site) -> None:
    assert await site.deliver(gateway_document(publicUrl="https://mcp.example.com")) == []
    browser = site.browser()
    page = await browser.get("/sign-in")
    answer = await sign_in(browser, "alice")
    cookies = page.headers.get_list("set-cookie") + answer.headers.get_list("set-cookie")
    names = {cookie.partition("=")[0] for cookie in cookies}
    assert names == {"__Host-mcp-form", "__Host-mcp-session"}
    for cookie in cookies:
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes
        assert not any(attribute.startswith("domain") for attribute in attributes)


@rule(61)
async def test_cookies_are_relaxed_on_loopback_http_only_in_name_and_secure(site: Site) -> None:
    answer = await sign_in(site.browser(), "alice")
    session = next(cookie for cookie in answer.headers.get_list("set-cookie") if cookie.startswith("mcp-session="))
    attributes = {part.strip().lower() for part in session.split(";")[1:]}
    assert attributes == {"httponly", "samesite=lax", "path=/"}


async def test_signing_in_always_gives_a_new_session(site: Site) -> None:
    browser = site.browser()
    browser.cookies.set("mcp-session", "fixed-by-an-attacker", domain="127.0.0.1")
    await sign_in(browser, "alice")
    values = [cookie.value for cookie in browser.cookies.jar if cookie.name == "mcp-session"]
    assert len(set(values)) == len(values)
    attacker = site.browser()
    attacker.cookies.set("mcp-session", "fixed-by-an-attacker", domain="127.0.0.1")
    assert (await attacker.get("/account")).status_code == 303


@rule(59)
async def test_the_sign_in_form_works_in_its_own_browser_only(site: Site) -> None:
    victim, attacker = site.browser(), site.browser()
    form = inputs((await attacker.get("/sign-in")).text) | {"login": "alice", "password": PASSWORDS["alice"]}
    for browser in (victim, site.browser()):
        answer = await browser.post("/sign-in", data=form)
        assert answer.status_code == 403
    assert (await attacker.post("/sign-in", data=form | {"form_token": "x"})).status_code == 403
    site.clock.ahead += 601
    assert (await attacker.post("/sign-in", data=form)).status_code == 403


async def test_sign_out_ends_the_session_and_needs_its_form(site: Site) -> None:
    browser = await signed_in(site)
    stolen = dict(browser.cookies)
    assert (await browser.post("/sign-out", data={"form_token": "x"})).status_code == 403
    page = (await browser.get("/")).text
    token = re.search(r'action="/sign-out">\s*<input[^>]*value="([^"]+)"', page)
    assert token
    assert (await browser.post("/sign-out", data={"form_token": token[1]})).headers["location"] == "/sign-in"
    again = site.browser()
    again.cookies.update(stolen)
    assert (await again.get("/account")).status_code == 303


async def test_a_session_ends_by_itself_or_from_another_browser(site: Site) -> None:
    laptop, phone = await signed_in(site), await signed_in(site)
    page = (await laptop.get("/account")).text
    assert page.count('name="session"') == 2
    form_token = inputs(page)["form_token"]
    ids = re.findall(r'name="session" value="([^"]+)"', page)
    other = next(item for item in ids if item not in page.split("This browser")[1][:600])
    assert (await laptop.post("/account/sessions/end", data={"form_token": form_token, "session": other})).status_code
    assert (await phone.get("/account")).status_code == 303
    assert (await laptop.get("/account")).status_code == 200
    site.clock.ahead += 12 * 3600 + 1
    assert (await laptop.get("/account")).status_code == 303


@pytest.mark.parametrize(
    "onward",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/oauth/authorize",
        "/oauth/authorize@evil.example",
        "/account/../",
        "\t//evil.example",
        "/oauth/authorize?\n",
        "javascript:alert(1)",
        "",
    ],
)
def test_signing_in_leads_to_pages_of_this_site_only(onward: str) -> None:
    assert safe_onward(onward) == "/"


async def test_signing_in_goes_on_with_the_application_s_request(site: Site) -> None:
    app, browser = await register(site), site.browser()
    answer = await app.authorize(browser, state="a b&c")
    page = await browser.get(answer.headers["location"])
    assert "An application wants to connect" in page.text
    form = inputs(page.text) | {"login": "alice", "password": PASSWORDS["alice"]}
    onward = (await browser.post("/sign-in", data=form)).headers["location"]
    assert "wants to use" in (await browser.get(onward)).text


async def sign_in_mistaken(site: Site) -> None:
    browser = site.browser()
    form = inputs((await browser.get("/sign-in")).text) | {"login": "typed in the wrong field", "password": "x"}
    assert (await browser.post("/sign-in", data=form)).status_code == 401


@rule(53)
async def test_no_secret_is_at_rest_or_in_the_log(site: Site) -> None:
    app = await register(site, token_endpoint_auth_method="client_secret_post")
    browser = await signed_in(site)
    secret = app.client["client_secret"]
    code = await app.code(browser)
    first = (await app.redeem(code, client_secret=secret)).json()
    second = (await app.refresh(first["refresh_token"], client_secret=secret)).json()
    await sign_in(site.browser(), "bob", password="a wrong password")
    await sign_in_mistaken(site)
    cookie = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "mcp-session")
    assert cookie
    secrets = [secret, code, cookie, *PASSWORDS.values(), "a wrong password", "typed in the wrong field", app.verifier]
    secrets += [tokens[name] for tokens in (first, second) for name in ("access_token", "refresh_token")]
    site.database.close()
    stored = b"".join(path.read_bytes() for path in site.folder.parent.rglob("gateway.db*"))
    log = site.audit.getvalue()
    assert b"alice" in stored
    assert "token-issued" in log
    for value in secrets:
        assert value.encode() not in stored
        assert value not in log


async def test_a_form_that_is_too_large_or_malformed_is_refused(site: Site) -> None:
    browser = site.browser()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/sign-in", "/sign-out", "/oauth/consent", "/account/sessions/end", "/oauth/token"):
        large: httpx.Response = await browser.post(path, content=b"a=" + b"x" * 70_000, headers=headers)
        assert large.status_code == 413
        assert (await browser.post(path, content=b"%ff=%ff", headers=headers)).status_code == 400
        assert (await browser.post(path, content=b"&".join([b"a=1"] * 200), headers=headers)).status_code == 400


def test_browsers_have_short_names() -> None:
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
    assert browser_name(chrome) == "Chrome on Linux"
    assert browser_name("curl/8") == "Another browser"
