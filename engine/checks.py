"""`make lint` and `make test`: what runs before a change lands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine import cluster, setup
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import attached
from engine.system import apt_install, may_apt

TYPED = ("components", "engine", "images", "benchmarks", "policies", "tests", "__main__.py")


def typed_paths(root: Path) -> list[str]:
    """Return what mypy reads, as far as it is there."""
    return [place for place in TYPED if (root / place).exists()]


def ensure_tests(layout: Layout, console: Console) -> None:
    """Install what only the tests need: Chromium. Their npm packages they install into the cache themselves."""
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        if not may_apt():
            raise EngineError("the tests need Chromium", "install chromium")
        apt_install(layout, console, "chromium", ["chromium"], 60)


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


def test_kubernetes(layout: Layout, console: Console, arguments: Sequence[str]) -> int:
    """Set up everything and a cluster, then run the tests that need one; `arguments` go to pytest."""
    ready = setup.ensure(layout, console)
    reached = cluster.up(layout, console, os.environ)
    path = os.pathsep.join(part for part in (reached.get("PATH"), ready.env.get("PATH")) if part)
    env = {**ready.env, **reached, "PATH": path, "MCP_HOSTING_TEST_CLUSTER": "1"}
    return attached([layout.python, "-m", "pytest", "tests/kubernetes", *arguments], env=env, cwd=layout.root)
