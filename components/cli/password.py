"""`password`: a user's first password, on standard output and nowhere else."""

from __future__ import annotations

import argparse
import sys

from components.cli.running import outputs
from components.errors import Problem, Problems


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("password", help="a user's first password")
    parser.add_argument("--stack", required=True, metavar="NAME", help="a stack that is deployed")
    parser.add_argument("login", nargs="?", metavar="LOGIN", help="whose; may be left out when there is one user only")


def run(args: argparse.Namespace) -> int:
    """Print the password."""
    passwords = outputs(args.stack, secrets=True).get("passwords", {})
    login = args.login or (next(iter(passwords)) if len(passwords) == 1 else None)
    if login not in passwords:
        raise Problems(
            [
                Problem(
                    path="LOGIN",
                    value=login,
                    wrong="is not a user of the stack" if login else "is missing",
                    remedy=f"name one of these: {', '.join(sorted(passwords)) or 'none'}",
                )
            ]
        )
    sys.stdout.write(f"{passwords[login]}\n")
    return 0
