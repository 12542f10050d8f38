"""Saying one era of the protocol in the other's words."""

from __future__ import annotations

from typing import Any

import mcp_types
import pytest
from mcp_runner import eras

from tests.runner.running import META

INITIALIZED: dict[str, Any] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}},
    "serverInfo": {"name": "s", "version": "1"},
    "instructions": "Be kind.",
}


def test_a_legacy_server_as_discovered() -> None:
    result = eras.discovery(INITIALIZED)
    parsed = mcp_types.DiscoverResult.model_validate(result)
    assert parsed.supported_versions == ["2026-07-28"]
    assert parsed.instructions == "Be kind."
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "s"
    assert result["capabilities"] == {"tools": {}, "resources": {}, "logging": {}}


def test_a_modern_server_as_initialized() -> None:
    for asked, given in (("2025-06-18", "2025-06-18"), ("1900-01-01", "2025-11-25"), (None, "2025-11-25")):
        result = eras.initialization(eras.discovery(INITIALIZED), asked)
        parsed = mcp_types.InitializeResult.model_validate(result)
        assert parsed.protocol_version == given
        assert parsed.server_info.name == "s"


def test_a_modern_request_to_a_legacy_server_loses_the_envelope_only() -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": 1, "_meta": {**META, "progressToken": 3}}}
    assert eras.legacy_request(message)["params"] == {"a": 1, "_meta": {"progressToken": 3}}
    bare = {**message, "params": {"_meta": META}}
    assert eras.legacy_request(bare)["params"] == {}


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/read"])
def test_a_legacy_servers_lists_are_not_to_be_kept_or_shared(method: str) -> None:
    result = eras.modern_result(method, {"tools": []}, None)
    assert result == {"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def test_a_servers_own_words_are_kept() -> None:
    result = eras.modern_result("tools/call", {"content": [], "_meta": {"a": 1}}, {"name": "s", "version": "1"})
    assert result["_meta"] == {"a": 1, "io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}}
    assert "ttlMs" not in result


def test_a_modern_answer_to_a_legacy_client() -> None:
    answer = {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"tools": [], "resultType": "complete", "ttlMs": 5, "cacheScope": "public"},
    }
    assert eras.legacy_answer(answer)["result"] == {"tools": []}
    more = {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required", "inputRequests": {}}}
    assert "2026-07-28" in eras.legacy_answer(more)["error"]["message"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (b"echo", "echo"),
        (b"=?base64?w6k=?=", "é"),
        (b"=?base64??=", ""),
        (b"=?base64?w6k?=", None),
        (b"=?base64?w6l=?=", None),
        (b"=?base64?/w==?=", None),
    ],
)
def test_rule_82_mirrored_headers(value: bytes | None, text: str | None) -> None:
    assert eras.decode_header(value) == text
