"""`schema`: writes docs/schema/*.json and the field tables of docs/reference from the models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from components.catalog.document import EntryDocument, VmcpDocument
from components.config.schema import entry_schema, spelled, stack_schema, with_tables
from components.config.stack import StackConfig

ROOT = Path(__file__).resolve().parents[2]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("schema", help="write the JSON Schemas and the field tables of the reference")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")


def run(args: argparse.Namespace) -> int:
    """Write what is stale, or name it with `--check`; 1 when that finds any."""
    stale = [path for path, text in generated(ROOT).items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{'stale' if args.check else 'written'}: {path.relative_to(ROOT)}\n")
        if not args.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generated(ROOT)[path], "utf-8")
    return 1 if stale and args.check else 0


def generated(root: Path) -> dict[Path, str]:
    """Return each generated file with the text that it should have."""
    reference = root / "docs" / "reference"
    stack, catalog = reference / "stack.md", reference / "catalog.md"
    return {
        root / "docs" / "schema" / "stack.json": spelled(stack_schema()),
        root / "docs" / "schema" / "entry.json": spelled(entry_schema()),
        stack: with_tables(stack.read_text("utf-8"), StackConfig),
        catalog: with_tables(catalog.read_text("utf-8"), EntryDocument, VmcpDocument),
    }
