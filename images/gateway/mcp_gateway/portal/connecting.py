"""How each MCP client is told about a server: what to paste, where it goes, and links that do it. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True)
class ConnectWay:
    """One client: `steps` says what to do with `text`; `link` opens the client itself, where it can be opened so."""

    client: str
    steps: str
    text: str
    link: str = ""


def connect_ways(server_id: str, url: str) -> list[ConnectWay]:
    """The ways to connect to a server at this URL. All of these clients sign in by OAuth themselves."""
    cursor = base64.b64encode(json.dumps({"url": url}).encode()).decode()
    code = json.dumps({"name": server_id, "type": "http", "url": url})
    return [
        ConnectWay(
            "Claude Code",
            "Run this in a terminal, start claude and sign in with /mcp.",
            f"claude mcp add --transport http {server_id} {url}",
        ),
        ConnectWay(
            "VS Code",
            "Put this into .vscode/mcp.json in your workspace. VS Code asks to sign in when it starts the server.",
            _json({"servers": {server_id: {"type": "http", "url": url}}}),
            f"vscode:mcp/install?{quote(code, safe='')}",
        ),
        ConnectWay(
            "Cursor",
            "Put this into .cursor/mcp.json in your project, or ~/.cursor/mcp.json; sign in under MCPs in Customize.",
            _json({"mcpServers": {server_id: {"url": url}}}),
            f"cursor://anysphere.cursor-deeplink/mcp/install?{urlencode({'name': server_id, 'config': cursor})}",
        ),
        ConnectWay(
            "MCP Inspector",
            "Put this into mcp.json and run: "
            f"npx @modelcontextprotocol/inspector --config mcp.json --server {server_id}",
            _json({"mcpServers": {server_id: {"type": "streamable-http", "url": url}}}),
        ),
        ConnectWay(
            "Another client",
            "Any client that speaks streamable HTTP and signs in by OAuth needs only the address. Many read this JSON.",
            _json({"mcpServers": {server_id: {"type": "http", "url": url}}}),
        ),
    ]


def _json(content: object) -> str:
    return json.dumps(content, indent=2)
