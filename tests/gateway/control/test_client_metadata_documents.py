"""Clients whose id is the URL of a document: fetched over TLS from a server of this test."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp_gateway.authorization.client_documents import UnusableClient, cache_seconds, check_client_url
from mcp_gateway.authorization.ssrf import GuardedFetch

from tests.gateway.control.control_site import HOST, Site, gateway_document, registration
from tests.gateway.control.flows import App, signed_in
from tests.gateway.control.page_forms import inputs, query_of
from tests.gateway.rules import rule

REDIRECT = "https://app.example/callback"


@dataclass
class Publisher:
    """An https server that publishes one document."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pause: float = 0.0
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The client id."""
        return f"https://{HOST}:{self.port}/client.json"

    def document(self, **changes: Any) -> dict[str, Any]:
        """A valid document; a change to None leaves the field out."""
        whole = {
            "client_id": self.url,
            "client_name": "Published app",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        } | changes
        return {name: value for name, value in whole.items() if value is not None}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        request = await reader.readuntil(b"\r\n\r\n")
        self.paths.append(request.split()[1].decode())
        await asyncio.sleep(self.pause)
        body = self.body or json.dumps(self.document()).encode()
        lines = [f"HTTP/1.1 {self.status} X", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        try:
            await writer.drain()
            writer.close()
        except ConnectionError:
            pass


@pytest.fixture
async def publisher(certificate: Path) -> AsyncIterator[Publisher]:
    """The publisher, listening on loopback."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    made = Publisher()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


@pytest.fixture
def fetch(certificate: Path) -> GuardedFetch:
    """Trusts the publisher's certificate, finds its host on loopback, and admits that address."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    return GuardedFetch(ssl.create_default_context(cafile=str(certificate)), resolve, lambda address: True)


Connect = Callable[..., Awaitable[Any]]


@pytest.fixture
def app(site: Site, publisher: Publisher) -> App:
    """The published client."""
    return App(site, {"client_id": publisher.url}, REDIRECT)


@rule(29, 32, 33)
async def test_a_published_client_connects(site: Site, publisher: Publisher, app: App) -> None:
    browser = await signed_in(site)
    page = await app.authorize(browser)
    assert "Published app" in page.text
    assert f"<strong>{HOST}</strong>" in page.text
    answer = await browser.post("/oauth/consent", data=inputs(page.text) | {"decision": "allow"})
    tokens = await app.redeem(query_of(answer.headers["location"])["code"])
    assert tokens.status_code == 200
    assert (await app.refresh(tokens.json()["refresh_token"])).status_code == 200


@rule(34)
async def test_a_stranger_makes_the_server_fetch_nothing(site: Site, publisher: Publisher, app: App) -> None:
    answer = await app.authorize(site.browser())
    assert answer.headers["location"].startswith("/sign-in?")
    assert publisher.paths == []


@rule(30, 31)
@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "https://other.example/client.json"},
        {"client_id": None},
        {"client_name": None},
        {"client_name": ""},
        {"client_name": 7},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": REDIRECT},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"client_secret": "x"},
    ],
)
async def test_a_document_that_is_wrong_is_an_error_page(
    site: Site, publisher: Publisher, app: App, changes: dict[str, Any]
) -> None:
    publisher.body = json.dumps(publisher.document(**changes)).encode()
    answer = await app.authorize(await signed_in(site))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "metadata document" in answer.text


@rule(31, 34)
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html></html>"), (200, b"[]"), (404, b""), (500, b""), (200, b"{" + b" " * 100_000)],
)
async def test_an_answer_that_is_no_document_is_an_error_page(
    site: Site, publisher: Publisher, app: App, status: int, body: bytes
) -> None:
    publisher.status, publisher.body = status, body
    answer = await app.authorize(await signed_in(site))
    assert answer.status_code == 400
    assert "location" not in answer.headers


@rule(34)
async def test_redirects_are_not_followed(site: Site, publisher: Publisher, app: App) -> None:
    publisher.status, publisher.headers = 302, {"Location": f"https://{HOST}:{publisher.port}/elsewhere"}
    assert (await app.authorize(await signed_in(site))).status_code == 400
    assert publisher.paths == ["/client.json"]


@rule(34)
async def test_ten_megabytes_and_slow_servers_fail_soon(
    site: Site, publisher: Publisher, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await signed_in(site)
    publisher.body = b'{"a": "' + b"x" * 10_000_000
    begin = time.monotonic()
    assert (await app.authorize(browser)).status_code == 400
    monkeypatch.setattr("mcp_gateway.authorization.ssrf.SECONDS", 0.3)
    publisher.body, publisher.pause = b"", 30
    assert (await app.authorize(browser)).status_code == 400
    assert time.monotonic() - begin < 5


@rule(34)
async def test_a_certificate_of_another_host_is_refused(site: Site, publisher: Publisher, app: App) -> None:
    app.client["client_id"] = publisher.url.replace(HOST, "other.example")
    assert (await app.authorize(await signed_in(site))).status_code == 400
    assert publisher.paths == []


@rule(32)
async def test_a_redirect_uri_that_is_not_in_the_document_is_refused(site: Site, app: App) -> None:
    answer = await app.authorize(await signed_in(site), redirect_uri="https://app.example/other")
    assert answer.status_code == 400
    assert "location" not in answer.headers


@rule(33)
@pytest.mark.parametrize(("control", "fetches"), [("max-age=60", 1), ("no-store", 2), ("", 2), ("max-age=0", 2)])
async def test_documents_are_kept_as_their_headers_say(
    site: Site, publisher: Publisher, app: App, control: str, fetches: int
) -> None:
    publisher.headers = {"Cache-Control": control} if control else {}
    browser = await signed_in(site)
    for _ in range(2):
        assert (await app.authorize(browser)).status_code == 200
    assert len(publisher.paths) == fetches
    site.clock.ahead += 61
    assert (await app.authorize(browser)).status_code == 200
    assert len(publisher.paths) == fetches + 1


@rule(33)
async def test_errors_are_not_kept(site: Site, publisher: Publisher, app: App) -> None:
    publisher.headers, publisher.status = {"Cache-Control": "max-age=60"}, 404
    browser = await signed_in(site)
    assert (await app.authorize(browser)).status_code == 400
    publisher.status = 200
    assert (await app.authorize(browser)).status_code == 200


def test_how_long_headers_let_a_document_be_kept() -> None:
    expires = {"expires": "Thu, 01 Jan 1970 00:10:00 GMT"}
    assert cache_seconds(expires, 300) == 300
    assert cache_seconds(expires, 900) == 0
    assert cache_seconds({"expires": "soon"}, 0) == 0
    assert cache_seconds({"cache-control": "public, max-age=100", "age": "40"}, 0) == 60
    assert cache_seconds({"cache-control": "max-age=999999999"}, 0) == 86400


@rule(36)
async def test_domains_can_be_restricted(site: Site, publisher: Publisher, app: App) -> None:
    browser = await signed_in(site)
    for domains, status in ((["other.example"], 400), (["*.app.example"], 400), ([HOST], 200), (["*.example"], 200)):
        assert await site.deliver(gateway_document(registration=registration(metadataDomains=domains))) == []
        assert (await app.authorize(browser)).status_code == status


@rule(29)
@pytest.mark.parametrize(
    "url",
    [
        "https://app.example",
        "https://app.example/",
        "https://app.example/a#b",
        "https://app.example/a/../b",
        "https://app.example/%2e%2E/b",
        "https://app.example/a b",
        "https://app.example/\u00fc",
        "http://app.example/a",
        "urn:a:b",
        "https://app.example/" + "a" * 2000,
    ],
)
def test_urls_that_are_no_client_ids_are_refused(url: str) -> None:
    with pytest.raises(UnusableClient):
        check_client_url(url, [])
