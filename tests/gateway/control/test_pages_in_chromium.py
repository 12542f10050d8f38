"""The pages in a real browser: what the security policy lets through, and signing in with the keyboard alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright

from tests.gateway.control.control_site import HOST, PASSWORDS, Site, gateway_document, registration
from tests.gateway.control.flows import App, register
from tests.gateway.control.page_forms import query_of

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed"),
]


@contextlib.asynccontextmanager
async def callback_server(host: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A client's callback, on a loopback address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<title>connected</title>"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, host, 0, ssl=tls)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@pytest.fixture
async def published(site: Site) -> AsyncIterator[Site]:
    """The control side on a TCP port."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert await site.deliver(gateway_document(publicUrl=url)) == []
    config = uvicorn.Config(site.control.app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield site
    server.should_exit = True
    await serving


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a browser without cookies."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield await browser.new_page(viewport={"width": 390, "height": 780}, ignore_https_errors=True)
        await browser.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_signing_in_and_consenting_with_the_keyboard_reaches_the_client(
    published: Site, page: Page, host: str
) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    async with callback_server(host) as port:
        shown = f"[{host}]" if ":" in host else host
        app = await register(published, f"http://{shown}:{port}/callback")
        await page.goto(_authorize(app))
        # The browser moves the focus when it first paints, which may be after the page has loaded.
        await page.wait_for_function("document.activeElement?.id === 'login'")
        await page.keyboard.type("alice")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORDS["alice"])
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/oauth/authorize?**")
        # No wider than the screen.
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await page.get_by_role("button", name="Allow", exact=True).focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"http://{shown}:{port}/callback?**")
        assert (await app.redeem(query_of(page.url)["code"])).status_code == 200
    assert problems == []


async def test_a_remembered_client_is_reached_straight_from_the_sign_in_form(
    published: Site, page: Page, certificate: Path
) -> None:
    """Chromium applies `form-action` to every redirect that follows a form."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with callback_server("127.0.0.1", tls) as port:
        app = await register(published, f"https://{HOST}:{port}/cb")
        for first in (True, False):
            await page.context.clear_cookies()
            await page.goto(_authorize(app))
            await page.fill("#login", "alice")
            await page.fill("#password", PASSWORDS["alice"])
            await page.keyboard.press("Enter")
            if first:
                await page.get_by_role("button", name="Allow", exact=True).click()
            await page.wait_for_url(f"https://{HOST}:{port}/cb?**")


async def test_a_listed_app_is_called_by_its_scheme(published: Site, page: Page) -> None:
    """No app opens such links here, so what is seen is that Chromium follows the redirect without an objection."""
    uri = "cursor://anysphere.cursor-mcp/oauth/callback"
    document = gateway_document(publicUrl=published.url, registration=registration(nativeRedirectUris=[uri]))
    assert await published.deliver(document) == []
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    app = await register(published, uri)
    await page.goto(_authorize(app))
    await page.fill("#login", "alice")
    await page.fill("#password", PASSWORDS["alice"])
    await page.keyboard.press("Enter")
    await page.get_by_text("An app on your own computer receives it").wait_for()
    async with page.expect_request(lambda request: request.url.startswith("cursor:"), timeout=10_000) as called:
        await page.get_by_role("button", name="Allow", exact=True).click(no_wait_after=True)
    url = (await called.value).url
    assert url.startswith(f"{uri}?code=")
    assert (await app.redeem(query_of(url)["code"])).status_code == 200
    assert problems == []


async def test_sign_out_in_the_browser(published: Site, page: Page) -> None:
    await page.goto(f"{published.url}/sign-in")
    await page.fill("#login", "alice")
    await page.fill("#password", PASSWORDS["alice"])
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Your servers").wait_for()
    await page.get_by_role("link", name="Account").click()
    await page.get_by_role("heading", name="Where you are signed in").wait_for()
    await page.get_by_role("navigation").get_by_role("button", name="Sign out").click()
    await page.get_by_role("heading", name="Sign in").wait_for()
    await page.goto(f"{published.url}/account")
    await page.get_by_role("heading", name="Sign in").wait_for()


def _authorize(app: App) -> str:
    return f"{app.site.url}/oauth/authorize?{urlencode(app.request())}"
