"""Re-makes the lock files: every package with its hashes, the same versions in the images as in the tests."""

from __future__ import annotations

from pathlib import Path

from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import logged

OPTIONS = (
    *("--quiet", "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--universal"),
    *("--python-version", "3.11", "--custom-compile-command", "make locks"),
)


def lock_of(source: Path) -> Path:
    """Return the lock file of a requirements file."""
    return source.with_suffix(".txt")


def sources(root: Path) -> list[Path]:
    """Return the requirements files, the one with everything first: it constrains the others."""
    everything = root / "requirements" / "dev.in"
    others = [*root.glob("requirements/*.in"), *root.glob("images/*/requirements.in")]
    return [everything, *sorted(source for source in others if source != everything)]


def ensure(layout: Layout, console: Console, *, upgrade: bool) -> None:
    """Re-make every lock file. Without `upgrade`, versions that still fit stay as they are."""
    uv = layout.venv / "bin" / "uv"
    if not uv.exists():
        raise EngineError("uv isn't in .venv", "make setup")
    everything, *others = sources(layout.root)
    log = layout.logs / "locks.log"
    with console.working("locks", "resolving", 15):
        for source in (everything, *others):
            lock = lock_of(source)
            options = [*OPTIONS, "--upgrade"] if upgrade else [*OPTIONS]
            if source != everything:
                options += ["--constraint", str(lock_of(everything).relative_to(layout.root))]
            logged(
                [uv, "pip", "compile", *options, str(source.relative_to(layout.root)), "-o", lock],
                log,
                cwd=layout.root,
            )
            console.line("locks", str(lock.relative_to(layout.root)))
