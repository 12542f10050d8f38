"""A person at a browser, and the official MCP client that sends that person there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.token_storage import Storage

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


class Callback:
    """The client's loopback redirect URI: waits for one authorization response."""

    def __init__(self) -> None:
        self.parameters: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self.server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Callback:
        self.server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/callback"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        self.server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        target = line.split(" ")[1] if " " in line else "/"
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 7\r\nconnection: close\r\n\r\nwelcome"
        )
        await writer.drain()
        writer.close()
        if target.startswith("/callback") and not self.parameters.done():
            self.parameters.set_result({key: values[0] for key, values in parse_qs(urlsplit(target).query).items()})

    async def result(self) -> AuthorizationCodeResult:
        parameters = await asyncio.wait_for(self.parameters, 30)
        self.parameters = asyncio.get_running_loop().create_future()
        return AuthorizationCodeResult(
            code=parameters["code"], state=parameters.get("state"), iss=parameters.get("iss")
        )


@dataclass
class Person:
    """Someone with an account, a browser profile of their own, and a client that is registered once for each server."""

    login: str
    password: str
    context: BrowserContext
    storage: dict[str, Storage] = field(default_factory=dict)
    consents: int = 0

    async def visit(self, url: str) -> None:
        """Follow an authorization URL: sign in when asked, consent when asked, until the client's redirect URI."""
        page = await self.context.new_page()
        try:
            await page.goto(url)
            for _ in range(3):
                if urlsplit(page.url).path == "/callback":
                    return
                if await page.locator("input[type=password]").count():
                    await page.fill("input[name=login]", self.login)
                    await page.fill("input[type=password]", self.password)
                    await page.click("form button.primary")
                else:
                    self.consents += 1
                    await page.click("button[value=allow]")
                await page.wait_for_load_state()
            assert urlsplit(page.url).path == "/callback", f"stopped at {page.url}: {await page.inner_text('body')}"
        finally:
            await page.close()

    @contextlib.asynccontextmanager
    async def http(self, server_url: str) -> AsyncIterator[httpx2.AsyncClient]:
        """An HTTP client that signs this person in when the server asks for it."""
        storage = self.storage.setdefault(server_url, Storage())
        async with Callback() as callback:
            provider = OAuthClientProvider(
                server_url,
                OAuthClientMetadata.model_validate(
                    {
                        "client_name": "End-to-end test",
                        "redirect_uris": [callback.url],
                        "grant_types": ["authorization_code", "refresh_token"],
                    }
                ),
                storage,
                redirect_handler=self.visit,
                callback_handler=callback.result,
            )
            async with httpx2.AsyncClient(auth=provider, timeout=60) as client:
                yield client

    @contextlib.asynccontextmanager
    async def connect(
        self, server_url: str, mode: str = "auto", elicitation: ElicitationFnT | None = None
    ) -> AsyncIterator[Client]:
        """The official client, connected to a server through the gateway."""
        async with (
            self.http(server_url) as http,
            Client(
                streamable_http_client(server_url, http_client=http),
                mode=mode,
                read_timeout_seconds=60,
                elicitation_callback=elicitation,
            ) as client,
        ):
            yield client

    async def token(self, server_url: str) -> str:
        """An access token for a server, from the same flow that the client goes through."""
        async with self.http(server_url) as http:
            # No message of the protocol: refused by the gateway itself, after the client has signed in for it.
            answer = await http.post(server_url, json={}, headers={"Accept": "application/json, text/event-stream"})
            assert answer.status_code == 400, answer.text
        tokens = self.storage[server_url].tokens
        assert tokens is not None
        return tokens.access_token
