"""Makes the portal's pictures for docs/portal.md anew: `.venv/bin/python -m docs.screenshots`. It needs Chromium."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / part) for part in (".", "images/wire", "images/gateway")]

from mcp_gateway.state.database import open_database  # noqa: E402 - the path comes first
from playwright.async_api import Browser, async_playwright  # noqa: E402

from tests.gateway.control.control_site import PASSWORDS  # noqa: E402
from tests.gateway.control.flows import register  # noqa: E402
from tests.gateway.control.portal.portal_world import PortalWorld, portal_world, published  # noqa: E402
from tests.gateway.launcher_double import refusal  # noqa: E402

Scheme = Literal["light", "dark"]

PHONE: Final = (390, 844)
DESKTOP: Final = (1280, 800)
PICTURES: Final[tuple[tuple[str, str, str, tuple[int, int], Scheme], ...]] = (
    ("portal-servers", "alice", "/", DESKTOP, "light"),
    ("portal-servers-phone", "alice", "/", PHONE, "light"),
    ("portal-values", "bob", "/servers/tickets", DESKTOP, "light"),
    ("portal-instance-phone", "alice", "/servers/memory", PHONE, "dark"),
    ("portal-account", "alice", "/account", DESKTOP, "light"),
    ("portal-admin", "carol", "/admin", DESKTOP, "dark"),
    ("portal-problems", "carol", "/admin/problems", DESKTOP, "light"),
)
LINES: Final = (
    "memory server listening on 0.0.0.0:8080",
    "loaded 12 entities and 19 relations from /data/memory.json",
    "session opened",
    "tools/list",
    "create_entities: 2 created",
    "read_graph",
    "session closed",
)


async def furnish(world: PortalWorld) -> None:
    """Something to see."""
    alice, bob = await world.person("alice"), await world.person("bob")
    app = await register(world.site, client_name="Claude Code")
    await app.redeem(await app.code(alice, resource=app.resource("time")), resource=app.resource("time"))
    for person, login in ((alice, "alice"), (bob, "bob")):
        subject = await world.subject(login)
        world.launcher.log["memory", subject] = [f"09:4{at}:12 {line}" for at, line in enumerate(LINES)]
        await world.act(person, "memory", "start")
        await world.settle("memory", subject, "running")
    world.launcher.fail["tickets"] = refusal(
        "start-failed",
        "the program ended before it was ready",
        log=["connecting to tickets.example", "error: 401 Unauthorized: this key was revoked"],
    )
    await world.give(bob, "tickets", API_KEY="an old key that was revoked", REGION="eu", NICKNAME="Bob's desk")
    await world.act(bob, "tickets", "start")


async def take(browser: Browser, url: str, folder: Path) -> None:
    """Every picture."""
    for name, login, path, (width, height), scheme in PICTURES:
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB", timezone_id="UTC"
        )
        page = await context.new_page()
        await page.goto(f"{url}/sign-in")
        await page.fill("#login", login)
        await page.fill("#password", PASSWORDS[login])
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{url}/")
        await page.goto(url + path)
        await page.wait_for_timeout(400)
        await page.screenshot(path=folder / f"{name}.png", full_page=True)
        await context.close()


async def main() -> None:
    """Build the portal with users and a launcher's double, and take the pictures."""
    with tempfile.TemporaryDirectory() as name:
        state, world_folder = Path(name) / "state", Path(name) / "world"
        state.mkdir()
        world_folder.mkdir()
        open_database(f"sqlite:///{state / 'gateway.db'}").close()
        async with (
            portal_world(world_folder, state / "gateway.db") as world,
            published(world) as url,
            async_playwright() as playwright,
        ):
            await furnish(world)
            browser = await playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--headless", "--disable-gpu"]
            )
            await take(browser, url, ROOT / "docs" / "images")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
