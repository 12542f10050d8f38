"""`make lint` and `make test`: what runs before a change lands."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine import setup
from engine.console import Console
from engine.content import digest
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import attached, logged
from engine.system import apt_install, may_apt

TYPED = ("components", "engine", "images", "benchmarks", "policies", "tests", "__main__.py")


def typed_paths(root: Path) -> list[str]:
    """Return what mypy reads, as far as it is there."""
    return [place for place in TYPED if (root / place).exists()]


def npm_projects(root: Path) -> list[Path]:
    """Return the tests' folders that have locked npm packages."""
    found = {lock.parent for lock in (root / "tests").rglob("package-lock.json")}
    return sorted(folder for folder in found if "node_modules" not in folder.parts)


def ensure_tests(layout: Layout, console: Console) -> None:
    """Install what only the tests need: Chromium, and the npm packages that they run."""
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        if not may_apt():
            raise EngineError("the tests need Chromium", "install chromium")
        apt_install(layout, console, "chromium", ["chromium"], 60)
    for folder in npm_projects(layout.root):
        stamp = folder / "node_modules" / ".installed-lock"
        wanted = digest([(folder / "package-lock.json").read_bytes()])
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        where = folder.relative_to(layout.root)
        with console.working("npm", f"installing the packages of {where}", 20):
            logged(
                ["npm", "ci", "--no-audit", "--no-fund"],
                layout.logs / "npm.log",
                cwd=folder,
                remedy="install Node.js 20 or newer, then run it again",
            )
        stamp.write_text(wanted)


def lint(layout: Layout, env: Mapping[str, str]) -> int:
    """Check format, rules and types; all three run, so that one run shows everything."""
    tools = layout.venv / "bin"
    commands: Sequence[Sequence[str | Path]] = (
        [tools / "ruff", "format", "--check", "--quiet", "."],
        [tools / "ruff", "check", "--quiet", "."],
        [tools / "mypy", *typed_paths(layout.root)],
    )
    return max(attached(command, env=env, cwd=layout.root) for command in commands)


def test(layout: Layout, console: Console, arguments: Sequence[str]) -> int:
    """Set up everything, then lint, then run all tests; `arguments` go to pytest."""
    ready = setup.ensure(layout, console)
    ensure_tests(layout, console)
    console.line("engine", ready.summary())
    linted = lint(layout, ready.env)
    tested = attached([layout.python, "-m", "pytest", *arguments], env=ready.env, cwd=layout.root)
    return linted or tested
