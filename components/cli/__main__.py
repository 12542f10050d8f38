"""Hands a command to its module; a module is imported only when its command, or the list of all, is asked for."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from rich.console import Console

from components.errors import Problems

COMMANDS = tuple(
    name
    for name in ("validate", "schema", "plan", "outputs", "password", "connect", "logins")
    if importlib.util.find_spec(f"components.cli.{name}")
)


class Command(Protocol):
    """What a module of this package offers."""

    def register(self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the command's parser."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; return the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0: done, 1: the input has problems or the command failed, 2: wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(prog="python -m components.cli", description="MCP hosting as code")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {name: _module(name) for name in ((wanted,) if wanted in COMMANDS else COMMANDS)}
    for module in modules.values():
        module.register(subparsers)
    args = parser.parse_args(arguments)
    try:
        return modules[args.command].run(args)
    except Problems as problems:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(problems), markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _module(name: str) -> Command:
    return cast(Command, importlib.import_module(f"components.cli.{name}"))


if __name__ == "__main__":
    sys.exit(main())
