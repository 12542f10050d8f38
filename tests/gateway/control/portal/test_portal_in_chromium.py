"""The portal in a real browser: by keyboard, without script, on a phone, in the dark, and what axe finds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Response, async_playwright

from tests.e2e.node_tools import installed
from tests.gateway.control.control_site import PASSWORDS
from tests.gateway.control.flows import register
from tests.gateway.control.portal.portal_world import OTHER_SECRET, SECRET, PortalWorld, published
from tests.gateway.control.test_pages_in_chromium import ARGUMENTS, CHROMIUM
from tests.gateway.launcher_double import refusal

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed"),
]

USER_PAGES = ("/", "/servers/memory", "/servers/tickets", "/servers/time", "/servers/weather", "/account")
PAGES = {
    "alice": (*USER_PAGES, "/servers/memory/delete", "/servers/hidden"),
    "bob": ("/", "/servers/tickets"),
    "carol": ("/admin", "/admin/users", "/admin/clients", "/admin/problems"),
}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
async def url(world: PortalWorld) -> AsyncIterator[str]:
    """Where the portal is."""
    async with published(world) as address:
        yield address


async def sign_in(context: BrowserContext, url: str, login: str) -> Page:
    """A page that leads to the portal's address, signed in on the way by keyboard."""
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_function("document.activeElement?.id === 'login'")
    await page.keyboard.type(login)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORDS[login])
    await page.keyboard.press("Enter")
    await page.wait_for_url(url)
    return page


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(60):
        if await page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


async def furnish(world: PortalWorld) -> None:
    """Something to see on every page."""
    alice, bob = await world.person("alice"), await world.person("bob")
    app = await register(world.site, client_name="Claude Code")
    await app.redeem(await app.code(alice, resource=app.resource("time")), resource=app.resource("time"))
    subject = await world.subject("alice")
    world.launcher.log["memory", subject] = ["a line", "another"]
    await world.act(alice, "memory", "start")
    await world.settle("memory", subject, "running")
    world.launcher.fail["tickets"] = refusal("start-failed", "it ended with code 1", log=["Traceback"])
    await world.give(bob, "tickets", API_KEY=SECRET, REGION="eu")
    await world.act(bob, "tickets", "start")


async def test_two_people_give_their_values_by_keyboard_and_no_secret_comes_back(
    world: PortalWorld, url: str, browser: Browser
) -> None:
    seen: list[str] = []
    problems: list[str] = []

    async def keep(response: Response) -> None:
        with contextlib.suppress(Exception):
            seen.append(await response.text())

    pages = {}
    for login, secret, region in (("alice", SECRET, "Europe"), ("bob", OTHER_SECRET, "us")):
        context = await browser.new_context()
        context.on("response", keep)
        page = pages[login] = await sign_in(context, f"{url}/servers/tickets", login)
        page.on("pageerror", lambda error: problems.append(str(error)))
        await tab_to(page, "[name='value:API_KEY']")
        await page.keyboard.type(secret)
        await page.keyboard.press("Tab")
        await page.keyboard.type(region)
        await tab_to(page, "[name='value:NICKNAME']")
        await page.keyboard.type(f"nick of {login}")
        await page.keyboard.press("Enter")
        await page.get_by_text("Saved: API key, Region and Nickname.").wait_for()
        await page.get_by_role("button", name="Start Tickets").focus()
        await page.keyboard.press("Enter")
        await page.locator("[data-state='running']").wait_for()
        await page.reload()
    for login, page in pages.items():
        shown = await page.content() + json.dumps(
            await page.evaluate("[...document.querySelectorAll('input,textarea,select')].map(each => each.value)")
        )
        assert f"nick of {login}" in shown
        assert not [text for text in (SECRET, OTHER_SECRET) if text in shown]
        assert sum(f"nick of {other}" in shown for other in pages) == 1
    assert seen
    assert not [text for text in seen if SECRET in text or OTHER_SECRET in text]
    given = {start["subject"]: start["values"]["user:API_KEY"] for start in world.launcher.starts}
    assert given == {await world.subject("alice"): SECRET, await world.subject("bob"): OTHER_SECRET}
    assert problems == []


async def test_the_focus_goes_to_the_first_field_that_is_wrong(url: str, browser: Browser) -> None:
    page = await sign_in(await browser.new_context(), f"{url}/servers/weather", "alice")
    await page.fill("[name='value:X-Api-Key']", "snow ☃")
    await page.keyboard.press("Enter")
    await page.get_by_role("alert").wait_for()
    await page.wait_for_function("document.activeElement?.name === 'value:X-Api-Key'")
    field = page.locator("[name='value:X-Api-Key']")
    assert await field.get_attribute("aria-invalid") == "true"
    described = await field.get_attribute("aria-describedby")
    assert described is not None
    assert "can't carry" in await page.locator(f"#{described.split()[0]}").inner_text()
    assert await field.input_value() == ""


async def test_the_page_follows_a_start_and_keeps_the_focus(world: PortalWorld, url: str, browser: Browser) -> None:
    world.launcher.hold.clear()
    page = await sign_in(await browser.new_context(), f"{url}/", "alice")
    await page.get_by_role("button", name="Start Memory").click()
    await page.locator("[data-state='starting']").wait_for()
    await page.get_by_role("button", name="Stop Memory").focus()
    world.launcher.log["memory", await world.subject("alice")] = ["as it is written"]
    world.launcher.hold.set()
    await page.locator("[data-state='running']").wait_for()
    assert await page.evaluate("document.activeElement?.getAttribute('aria-label')") == "Stop Memory"
    await page.goto(f"{url}/servers/memory")
    world.launcher.log["memory", await world.subject("alice")].append("a later line")
    await page.locator("#log", has_text="a later line").wait_for()


async def test_without_script_everything_works(world: PortalWorld, url: str, browser: Browser) -> None:
    page = await sign_in(await browser.new_context(java_script_enabled=False), f"{url}/servers/tickets", "alice")
    await page.fill("[name='value:API_KEY']", SECRET)
    await page.select_option("[name='value:REGION']", "us")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_text("Saved: API key and Region.").wait_for()
    world.launcher.hold.clear()
    await page.get_by_role("button", name="Start Tickets").click()
    await page.locator("[data-state='starting']").wait_for()
    world.launcher.hold.set()
    # The browser loads the page again by itself.
    await page.locator("[data-state='running']").wait_for()
    world.launcher.log["tickets", await world.subject("alice")] = ["written later"]
    await page.get_by_role("link", name="Reload to see newer lines").click()
    await page.get_by_text("written later").wait_for()
    await page.get_by_role("link", name="Delete…").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_text("Your data has been deleted.").wait_for()


async def test_the_skip_link_comes_first_and_the_focus_is_seen(url: str, browser: Browser) -> None:
    page = await sign_in(await browser.new_context(), f"{url}/account", "alice")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.keyboard.press("Tab")
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_and_a_phone_needs_no_sideways_scroll(
    world: PortalWorld, url: str, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    await furnish(world)
    axe = (installed(Path(__file__).parent / "axe") / "axe-core" / "axe.min.js").read_text()
    found: list[str] = []
    backgrounds = set()
    for login, paths in PAGES.items():
        context = await browser.new_context(
            color_scheme=scheme, viewport={"width": 360, "height": 780}, reduced_motion="reduce"
        )
        page = await sign_in(context, f"{url}/", login)
        for path in paths:
            await page.goto(url + path)
            for details in await page.locator("summary").all():
                await details.click()
            width = await page.evaluate("document.documentElement.scrollWidth")
            if width > 360:
                found.append(f"{path} is {width} wide")
            backgrounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
            result: dict[str, Any] = await page.evaluate(f"{axe}; axe.run()")
            found += [
                f"{path}: {each['id']} {[node['html'] for node in each['nodes']]}"
                for each in result["violations"]
                if each["impact"] in {"serious", "critical"}
            ]
        await context.close()
    assert found == []
    assert backgrounds == {"rgb(245, 246, 249)" if scheme == "light" else "rgb(15, 17, 23)"}


async def test_nothing_that_the_policy_forbids_is_asked_for(world: PortalWorld, url: str, browser: Browser) -> None:
    await furnish(world)
    problems: list[str] = []
    asked: set[str] = set()
    context = await browser.new_context()
    page = await sign_in(context, f"{url}/", "alice")
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    context.on("request", lambda request: asked.add(request.url.split("/")[2]))
    for path in USER_PAGES:
        await page.goto(url + path)
        await page.wait_for_load_state("networkidle") if path == "/account" else None
    assert problems == []
    assert asked == {url.removeprefix("http://")}
