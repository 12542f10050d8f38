"""`validate`: checks catalog files and folders, or a stack with its catalog, and shows what was read."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.catalog.entry import Entry
from components.catalog.load import load
from components.catalog.notes import notes, source
from components.catalog.read import distinct
from components.config.load import stack_file
from components.errors import Problem, Problems, collected
from components.plan.build import plan

PRINTED_WIDTH = 160
"""Columns when the output is not a terminal."""

ROOT = Path(__file__).resolve().parents[2]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("validate", help="check catalog files, or a stack with its catalog")
    parser.add_argument("catalog", nargs="*", metavar="PATH", help="files and folders with catalog entries")
    parser.add_argument("--stack", metavar="NAME", help="check stacks/Pulumi.NAME.yaml with its catalog instead")
    parser.add_argument("--json", action="store_true", help="print for machines")


def run(args: argparse.Namespace) -> int:
    """Print a table of the entries, or the problems; 1 when there are any."""
    if bool(args.catalog) == bool(args.stack):
        sys.stderr.write("name catalog files and folders, or a stack: validate PATH... | validate --stack NAME\n")
        return 2
    problems: list[Problem] = []
    found: tuple[Entry, ...] = ()
    with collected(problems):
        found = _entries(args)
    if args.json:
        report = {"problems": Problems(problems).to_json(), "entries": [_plain(entry) for entry in found]}
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    elif problems:
        print_problems(Problems(problems), Console(stderr=True, highlight=False, soft_wrap=True))
    else:
        console = Console(highlight=False)
        _print_entries(found, console if console.is_terminal else Console(highlight=False, width=PRINTED_WIDTH))
    return 1 if problems else 0


def _entries(args: argparse.Namespace) -> tuple[Entry, ...]:
    if not args.stack:
        return distinct(load([str(Path(name).absolute()) for name in args.catalog], Path.cwd()))
    stack = stack_file(ROOT / "stacks" / f"Pulumi.{args.stack}.yaml", ROOT)
    try:
        plan(stack.config, stack.entries, stack=args.stack, secrets=stack.secrets)
    except Problems as problems:
        raise stack.located(problems) from None
    return stack.entries


def print_problems(problems: Problems, console: Console) -> None:
    """Print each problem as place, field, what is wrong, and the remedy below it."""
    for problem in problems:
        place = f"{problem.file}:{problem.line}" if problem.file and problem.line else problem.file or ""
        line = Text(place, "bold")
        for part, style in ((problem.entry, "cyan"), (problem.path, "magenta")):
            if part:
                line.append(" " if line else "").append(part, style)
        got = f" (got {problem.value})" if problem.value is not None else ""
        console.print(line)
        console.print(Text(f"    {problem.wrong}{got}", "red"))
        console.print(Text(f"    {problem.remedy}", "green"))
    count = len(problems.problems)
    console.print(Text(f"{count} problem{'s' if count != 1 else ''}", "bold red"))


def _print_entries(entries: tuple[Entry, ...], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    table.add_column("id", style="bold", no_wrap=True)
    table.add_column("runtime", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("from", overflow="fold", ratio=2)
    table.add_column("settings", no_wrap=True)
    table.add_column("notes", ratio=1)
    for entry in entries:
        table.add_row(
            entry.id, entry.runtime, entry.server_type, Text(source(entry)), _settings(entry), "\n".join(notes(entry))
        )
    console.print(table)
    console.print(f"{len(entries)} entr{'ies' if len(entries) != 1 else 'y'}, no problems")


def _settings(entry: Entry) -> str:
    counts = Counter(setting.policy for setting in entry.settings)
    words = [f"{count} {policy}" for policy, count in sorted(counts.items())]
    secret = sum(setting.sensitive for setting in entry.settings)
    return ", ".join([*words, *([f"{secret} secret"] if secret else [])])


def _plain(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "name": entry.name,
        "runtime": entry.runtime,
        "serverType": entry.server_type,
        "from": source(entry),
        "settings": [
            {"key": s.key, "usage": s.usage, "policy": s.policy, "required": s.required, "sensitive": s.sensitive}
            for s in entry.settings
        ],
        "notes": list(notes(entry)),
        "file": entry.source.file,
        "line": entry.source.line,
    }
