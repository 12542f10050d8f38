"""The portal as a person uses it in a browser."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

from playwright.async_api import Page

from tests.e2e.deployed import PORT
from tests.e2e.sign_in import Person

PORTAL = f"http://127.0.0.1:{PORT}"


def page_url(server: str) -> str:
    """The page of a server, the same address for everyone."""
    return f"{PORTAL}/servers/{server}"


@contextlib.asynccontextmanager
async def opened(person: Person, url: str) -> AsyncIterator[Page]:
    """A page of the portal in the person's browser, signed in."""
    page = await person.context.new_page()
    try:
        await page.goto(url)
        if urlsplit(page.url).path == "/sign-in":
            await page.fill("input[name=login]", person.login)
            await page.fill("input[type=password]", person.password)
            await page.click("form button.primary")
            await page.wait_for_load_state()
        yield page
    finally:
        await page.close()


async def give(person: Person, server: str, values: Mapping[str, str]) -> None:
    """Fill in values and save them; the page says that they are kept."""
    async with opened(person, page_url(server)) as page:
        for key, value in values.items():
            field = page.locator(f'[name="value:{key}"]')
            if await field.evaluate("element => element.tagName") == "SELECT":
                await field.select_option(value)
            else:
                await field.fill(value)
        await page.click("form.values button.primary")
        await page.get_by_text("Saved: ").wait_for(timeout=15_000)


async def form_token(person: Person, server: str) -> str:
    """The token of the form on a server's page, as the person's browser was shown it."""
    async with opened(person, page_url(server)) as page:
        return await page.locator("form.values input[name=form_token]").input_value()


async def restart(person: Person, server: str) -> None:
    """Have one's own instance replaced at once, and wait until the page says that it runs."""
    async with opened(person, page_url(server)) as page:
        await page.locator(f'form[action="/servers/{server}/restart"] button').first.click()
        await page.wait_for_load_state()
        await page.locator("#standing .state-line", has_text="Running").wait_for(timeout=60_000)
