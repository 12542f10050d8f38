"""`outputs`: where a deployed stack's servers are and where to sign in."""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console
from rich.table import Table

from components.cli.running import outputs


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("outputs", help="the servers' URLs and where to sign in")
    parser.add_argument("--stack", required=True, metavar="NAME", help="a stack that is deployed")
    parser.add_argument("--json", action="store_true", help="print for machines")


def run(args: argparse.Namespace) -> int:
    """Print the outputs; passwords are never among them."""
    found = outputs(args.stack)
    if args.json:
        found.pop("passwords", None)
        sys.stdout.write(json.dumps(found, indent=2, sort_keys=True) + "\n")
        return 0
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Gateway  {found['gatewayUrl']}")
    console.print(f"Sign in  {found['signInUrl']}  as {', '.join(found['logins']) or 'nobody: the stack has no users'}")
    kinds = found.get("kinds", {})
    table = Table("Server", "Kind", "URL", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for server, url in sorted(found["servers"].items()):
        table.add_row(server, kinds.get(server, ""), url, style=None)
    console.print()
    console.print(table)
    console.print()
    if "singleUser" in kinds.values():
        console.print("singleUser: each user has an instance of their own; it starts at their first call, and values")
        console.print("that it needs of them are given after signing in")
        console.print()
    console.print(f"First passwords    make password STACK={args.stack} LOGIN=...")
    console.print(f"Connect a client   make connect STACK={args.stack} CLIENT=claude-code|vscode|cursor|inspector")
    return 0
