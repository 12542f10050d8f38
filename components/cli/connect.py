"""`connect`: ready-made configuration of an MCP client for a deployed stack's servers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.cli.running import outputs
from components.errors import Problem, Problems

Servers = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How one client wants to be told about servers; all of them sign in by OAuth themselves."""

    place: str
    configuration: Callable[[Servers], object]


CLIENTS = {
    # Claude Code, "Connect to tools via MCP": project scope.
    "claude-code": Client(
        place="put this into .mcp.json in your project, start claude and sign in with /mcp",
        configuration=lambda servers: {"mcpServers": {id: {"type": "http", "url": servers[id]} for id in servers}},
    ),
    # VS Code, "MCP configuration reference": the key is `servers`.
    "vscode": Client(
        place="put this into .vscode/mcp.json in your workspace; VS Code asks to sign in when it starts a server",
        configuration=lambda servers: {"servers": {id: {"type": "http", "url": servers[id]} for id in servers}},
    ),
    # Cursor, "Model Context Protocol": a remote server has an `url` only.
    "cursor": Client(
        place="put this into .cursor/mcp.json in your project (or ~/.cursor/mcp.json); sign in under MCPs in Customize",
        configuration=lambda servers: {"mcpServers": {id: {"url": servers[id]} for id in servers}},
    ),
    # MCP Inspector, README, "Configuration File".
    "inspector": Client(
        place="put this into mcp.json and run: npx @modelcontextprotocol/inspector --config mcp.json --server ID",
        configuration=lambda servers: {
            "mcpServers": {id: {"type": "streamable-http", "url": servers[id]} for id in servers}
        },
    ),
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("connect", help="configuration of an MCP client")
    parser.add_argument("--stack", required=True, metavar="NAME", help="a stack that is deployed")
    parser.add_argument("client", nargs="?", metavar="CLIENT", help=", ".join(CLIENTS))


def run(args: argparse.Namespace) -> int:
    """Print the configuration on standard output, and where it goes on standard error."""
    client = CLIENTS.get(args.client)
    if client is None:
        raise Problems(
            [
                Problem(
                    path="CLIENT",
                    value=args.client,
                    wrong="is not a client that is known here" if args.client else "is missing",
                    remedy=f"name one of these: {', '.join(CLIENTS)}",
                )
            ]
        )
    servers = dict(sorted(outputs(args.stack)["servers"].items()))
    sys.stderr.write(f"{args.client}: {client.place}; more in docs/connect.md\n")
    sys.stdout.write(json.dumps(client.configuration(servers), indent=2) + "\n")
    return 0
