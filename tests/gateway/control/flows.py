"""What browsers and clients do, step by step, so that a test can change one step."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.gateway.control.control_site import PASSWORDS, Site
from tests.gateway.control.page_forms import inputs, query_of


async def sign_in(
    browser: httpx.AsyncClient, login: str, onward: str = "/", password: str | None = None
) -> httpx.Response:
    """Sign in by the form."""
    page = await browser.get("/sign-in", params={"onward": onward})
    form = inputs(page.text) | {"login": login, "password": PASSWORDS[login] if password is None else password}
    return await browser.post("/sign-in", data=form)


@dataclass
class App:
    """A registered client in the middle of a flow."""

    site: Site
    client: dict[str, Any]
    redirect_uri: str
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def http(self) -> httpx.AsyncClient:
        """The client's own connection."""
        return self.site.browser("192.0.2.77")

    def resource(self, server: str = "time") -> str:
        """The resource of a server."""
        return f"{self.site.url}/mcp-connect/{server}"

    def request(self, **changes: str | None) -> dict[str, str]:
        """An authorization request; a change to None leaves the parameter out."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client["client_id"],
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": self.resource(),
            "scope": "mcp",
            "state": "s-1",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    async def authorize(self, browser: httpx.AsyncClient, **changes: str | None) -> httpx.Response:
        """Open the authorization endpoint in a browser."""
        return await browser.get(f"/oauth/authorize?{urlencode(self.request(**changes))}")

    async def code(self, browser: httpx.AsyncClient, **changes: str | None) -> str:
        """A code, by consent of whoever is signed in."""
        answer = await self.authorize(browser, **changes)
        if answer.status_code == 200:
            answer = await browser.post("/oauth/consent", data=inputs(answer.text) | {"decision": "allow"})
        assert answer.status_code == 303, answer.text
        return query_of(answer.headers["location"])["code"]

    async def token(self, **form: str) -> httpx.Response:
        """Call the token endpoint."""
        return await self.http.post("/oauth/token", data={"client_id": self.client["client_id"], **form})

    async def redeem(self, code: str, **changes: str) -> httpx.Response:
        """Redeem a code."""
        return await self.token(
            **{
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "code_verifier": self.verifier,
                "resource": self.resource(),
                **changes,
            }
        )

    async def refresh(self, refresh_token: str, **changes: str) -> httpx.Response:
        """Use a refresh token."""
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token, **changes)

    async def connect(self, browser: httpx.AsyncClient) -> dict[str, Any]:
        """The whole flow; the token response."""
        answer = await self.redeem(await self.code(browser))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def register(site: Site, redirect_uri: str = "http://127.0.0.1:3333/callback", **metadata: Any) -> App:
    """Register a public client."""
    body = {
        "client_name": "Test app",
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "application_type": "native",
    } | metadata
    answer = await site.browser().post("/oauth/register", json=body)
    assert answer.status_code == 201, answer.text
    return App(site, answer.json(), redirect_uri)


async def signed_in(site: Site, login: str = "alice") -> httpx.AsyncClient:
    """A browser in which someone has signed in."""
    browser = site.browser()
    answer = await sign_in(browser, login)
    assert answer.status_code == 303, answer.text
    return browser


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified."""
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found
