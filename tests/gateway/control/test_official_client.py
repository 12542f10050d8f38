"""The official MCP client's own OAuth provider: discovery, registration, authorization and tokens, unmodified."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyUrl

from tests.gateway.control.control_site import PUBLIC_URL, Site
from tests.gateway.control.flows import claims, signed_in
from tests.gateway.control.page_forms import inputs, query_of
from tests.gateway.rules import rule
from tests.token_storage import Storage

SERVER = f"{PUBLIC_URL}/mcp-connect/time"
CALLBACK = "http://127.0.0.1:3333/callback"


def edge_and_control(site: Site, seen: list[str]) -> Callable[[httpx2.Request], object]:
    """Answers as the edge would: a challenge at the server's path, everything else from the control side."""
    control = site.browser("192.0.2.50")

    async def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(f"{request.method} {request.url.path}")
        if request.url.path.startswith("/mcp-connect/"):
            if "authorization" in request.headers:
                return httpx2.Response(200, json={"token": request.headers["authorization"].removeprefix("Bearer ")})
            metadata = f"{PUBLIC_URL}/.well-known/oauth-protected-resource{request.url.path}"
            return httpx2.Response(
                401, headers={"WWW-Authenticate": f'Bearer resource_metadata="{metadata}", scope="mcp"'}
            )
        passed: httpx.Response = await control.request(
            request.method,
            str(request.url),
            content=await request.aread(),
            headers={
                name: request.headers[name] for name in ("content-type", "authorization") if name in request.headers
            },
        )
        return httpx2.Response(passed.status_code, content=passed.content, headers=dict(passed.headers))

    return answer


@rule(3, 21, 22, 23, 24, 37, 39, 48)
async def test_the_official_client_connects_and_refreshes(site: Site) -> None:
    browser, storage = await signed_in(site), Storage()
    redirects: list[str] = []
    seen: list[str] = []

    async def open_browser(url: str) -> None:
        page = await browser.get(url)
        answer = await browser.post("/oauth/consent", data=inputs(page.text) | {"decision": "allow"})
        redirects.append(answer.headers["location"])

    async def callback() -> AuthorizationCodeResult:
        response = query_of(redirects[-1])
        return AuthorizationCodeResult(code=response["code"], state=response["state"], iss=response["iss"])

    provider = OAuthClientProvider(
        SERVER,
        OAuthClientMetadata(client_name="Official client", redirect_uris=[AnyUrl(CALLBACK)]),
        storage,
        open_browser,
        callback,
    )
    transport = httpx2.MockTransport(edge_and_control(site, seen))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, auth=provider) as client:
        token = (await client.post(SERVER, json={})).json()["token"]
        assert claims(token)["aud"] == SERVER
        assert storage.client is not None
        assert storage.client.issuer == PUBLIC_URL
        first = storage.tokens
        assert first is not None
        assert first.refresh_token
        provider.context.token_expiry_time = 1.0
        renewed = (await client.post(SERVER, json={})).json()["token"]
    assert renewed != token
    assert claims(renewed)["fam"] == claims(token)["fam"]
    assert seen == [
        "POST /mcp-connect/time",
        "GET /.well-known/oauth-protected-resource/mcp-connect/time",
        "GET /.well-known/oauth-authorization-server",
        "POST /oauth/register",
        "POST /oauth/token",
        "POST /mcp-connect/time",
        "POST /oauth/token",
        "POST /mcp-connect/time",
    ]
