"""The gateway document and the edge document as docs/contracts.md shows them, against the control side."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp_gateway.documents.edge import EdgeState, edge_document
from mcp_gateway.documents.gateway import GatewayDocument, parse_gateway_document

CONTRACTS = Path(__file__).parents[2] / "docs" / "contracts.md"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$" + "a" * 43
STATE = EdgeState(
    subjects={"alice": "<subject>"},
    keys=[{"kty": "EC", "crv": "P-256", "kid": "...", "x": "...", "y": "...", "alg": "ES256", "use": "sig"}],
    session_key=b"k" * 32,
    revoked_tokens={"<jti>": 1764000000},
    revoked_before={"<subject>": 1764000000},
)


def example(section: int) -> dict[str, Any]:
    """The JSON example of a section of the contracts."""
    part = CONTRACTS.read_text().split(f"\n## {section}. ")[1]
    block = re.search(r"```json\n(.*?)```", part, re.DOTALL)
    assert block
    found: dict[str, Any] = json.loads(block[1].replace("$argon2id$...", HASH).replace("…", "..."))
    return found


@pytest.fixture
def document() -> GatewayDocument:
    """The gateway document of the contracts, read by the control side."""
    return parse_gateway_document(json.dumps(example(1)).encode())


def shape(value: object) -> object:
    """Names and types of a document."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_the_gateway_document_of_the_contracts_is_valid(document: GatewayDocument) -> None:
    assert document.public_url == "http://127.0.0.1:8765"
    assert document.servers[0].upstream is not None
    assert document.servers[0].upstream.headers == {"Authorization": "Bearer ..."}


def test_what_the_edge_gets_has_the_shape_that_the_contracts_show(document: GatewayDocument) -> None:
    shown, made = example(2), edge_document(document, STATE)
    server, expected = made["servers"][0], shown["servers"][0]  # type: ignore[index]
    assert list(made) == list(shown)
    assert list(server) == list(expected)
    for name in ("id", "kind", "path", "resource", "resourceMetadata", "scope", "subjects", "tools", "limits"):
        assert server[name] == expected[name]
    assert shape({**server["upstream"], "headers": {}}) == shape(expected["upstream"])
    for name in ("jwks", "revokedTokens", "revokedBefore", "subjects", "issuer"):
        assert made[name] == shown[name]


def test_a_value_that_a_user_still_owes_is_named(document: GatewayDocument) -> None:
    raw = example(1)
    raw["servers"][0]["userValues"] = {}
    owing = edge_document(parse_gateway_document(json.dumps(raw).encode()), STATE)
    assert owing["servers"][0]["missing"] == {"<subject>": ["API key"]}  # type: ignore[index]
    given = edge_document(document, STATE)
    assert given["servers"][0]["missing"] == {}  # type: ignore[index]
    assert given["servers"][0]["userHeaders"] == {"<subject>": {"X-Api-Key": "eu"}}  # type: ignore[index]


def test_the_version_is_that_of_the_content(document: GatewayDocument) -> None:
    one, same = edge_document(document, STATE), edge_document(document, STATE)
    raw = example(1) | {"allowedHosts": []}
    other = edge_document(parse_gateway_document(json.dumps(raw).encode()), STATE)
    assert one["version"] == same["version"] != other["version"]
