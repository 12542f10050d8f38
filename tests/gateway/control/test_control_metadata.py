"""Discovery: resource metadata, server metadata, keys."""

from __future__ import annotations

import json

import pytest
from authlib.oauth2 import rfc8414  # type: ignore[import-untyped]

from tests.gateway.control.control_site import PUBLIC_URL, Site, gateway_document
from tests.gateway.rules import rule

PUBLISHED = "https://mcp.example.com"


@rule(1, 2, 4, 6, 7)
async def test_each_server_has_resource_metadata_of_its_own(site: Site) -> None:
    browser = site.browser()
    found = [
        (await browser.get(f"/.well-known/oauth-protected-resource/mcp-connect/{name}")).json()
        for name in ("time", "notes")
    ]
    assert [document["resource"] for document in found] == [
        f"{PUBLIC_URL}/mcp-connect/time",
        f"{PUBLIC_URL}/mcp-connect/notes",
    ]
    for document in found:
        assert document["authorization_servers"] == [PUBLIC_URL]
        assert document["scopes_supported"] == ["mcp"]
        assert document["bearer_methods_supported"] == ["header"]


@rule(1)
@pytest.mark.parametrize("path", ["", "/", "/mcp-connect", "/mcp-connect/none", "/mcp-connect/time/", "/other/time"])
async def test_there_is_no_metadata_for_what_is_no_server(site: Site, path: str) -> None:
    assert (await site.browser().get(f"/.well-known/oauth-protected-resource{path}")).status_code == 404


@rule(21, 22, 23, 26, 27, 28)
async def test_the_server_metadata_is_what_clients_demand(site: Site) -> None:
    assert await site.deliver(gateway_document(publicUrl=PUBLISHED)) == []
    browser = site.browser()
    metadata = (await browser.get("/.well-known/oauth-authorization-server")).json()
    resource = (await browser.get("/.well-known/oauth-protected-resource/mcp-connect/time")).json()
    # Byte by byte, without a trailing slash.
    assert metadata["issuer"] == resource["authorization_servers"][0] == PUBLISHED
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert metadata["client_id_metadata_document_supported"] is True
    assert metadata["scopes_supported"] == ["mcp"]
    urls = [value for name, value in metadata.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(urls) == 5
    assert all(url.startswith(f"{PUBLISHED}/oauth/") for url in urls)
    # A second opinion, by the class that Authlib has for RFC 8414.
    rfc8414.AuthorizationServerMetadata(metadata).validate()


@rule(21)
@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/mcp-connect/time",
        "/mcp-connect/time/.well-known/openid-configuration",
    ],
)
async def test_probes_for_what_the_server_is_not_get_404(site: Site, path: str) -> None:
    assert (await site.browser().get(path)).status_code == 404


@rule(26)
async def test_ways_of_registration_that_are_off_are_not_announced(site: Site) -> None:
    off = {"dynamic": False, "metadataDocuments": False, "metadataDomains": [], "nativeRedirectUris": []}
    assert await site.deliver(gateway_document(registration=off)) == []
    browser = site.browser()
    metadata = (await browser.get("/.well-known/oauth-authorization-server")).json()
    assert "registration_endpoint" not in metadata
    assert metadata["client_id_metadata_document_supported"] is False
    assert (await browser.post("/oauth/register", json={"redirect_uris": ["https://a.example/"]})).status_code == 404


async def test_the_published_keys_are_public_only(site: Site) -> None:
    keys = (await site.browser().get("/oauth/jwks")).json()["keys"]
    assert keys == (await site.edge())["jwks"]["keys"]
    assert [sorted(key) for key in keys] == [["alg", "crv", "kid", "kty", "use", "x", "y"]]
    assert (keys[0]["kty"], keys[0]["crv"], keys[0]["alg"]) == ("EC", "P-256", "ES256")


@rule(74)
async def test_no_url_comes_from_a_header(site: Site) -> None:
    lie = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    browser = site.browser()
    for path in (
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/mcp-connect/time",
        "/sign-in",
        "/oauth/authorize",
    ):
        answer = await browser.get(path, headers=lie)
        assert "evil.example" not in answer.text + json.dumps(dict(answer.headers))
