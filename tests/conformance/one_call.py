"""One tool call as a client of 2026-07-28 makes it: a request that stands alone."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


def call_tool(
    url: str, name: str, arguments: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[str, bool]:
    """The text of the answer, and whether the tool said that it failed.

    Raises:
        httpx.HTTPError: there was no answer, or not one of 200.
    """
    params = {"name": name, "arguments": dict(arguments or {}), "_meta": META}
    answer = httpx.post(
        url,
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
        headers={
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": "tools/call",
            "Mcp-Name": name,
            **(headers or {}),
        },
        timeout=60,
    )
    answer.raise_for_status()
    message = _message(answer)
    if "result" not in message:
        raise httpx.HTTPError(f"{name} answered {message}")
    result = message["result"]
    return str(result["content"][0]["text"]), bool(result.get("isError"))


def _message(answer: httpx.Response) -> dict[str, Any]:
    if not answer.headers["content-type"].startswith("text/event-stream"):
        found: dict[str, Any] = answer.json()
        return found
    data = (
        line.removeprefix("data:") for line in answer.text.splitlines() if line.startswith("data:") and len(line) > 6
    )
    messages: list[dict[str, Any]] = [json.loads(line) for line in data]
    return messages[-1]
