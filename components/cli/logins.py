"""`logins`: who may sign in to a stack, and whether each has a password; read from its file, without an engine."""

from __future__ import annotations

import argparse
import sys

from components.cli.running import ROOT
from components.config.load import stack_file


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("logins", help="who may sign in, and whether each has a password")
    parser.add_argument("--stack", required=True, metavar="NAME", help="the stack in stacks/Pulumi.NAME.yaml")


def run(args: argparse.Namespace) -> int:
    """Print a line for each user: login, tab, `set` or `missing`."""
    stack = stack_file(ROOT / "stacks" / f"Pulumi.{args.stack}.yaml", ROOT)
    for user in stack.config.users:
        sys.stdout.write(f"{user.login}\t{'set' if user.login in stack.passwords else 'missing'}\n")
    return 0
