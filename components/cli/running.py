"""What a deployed stack says of itself: its outputs, asked of the engine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from components.errors import Problem, Problems

ROOT = Path(__file__).resolve().parents[2]


def outputs(stack: str, *, secrets: bool = False) -> dict[str, Any]:
    """Return the stack's outputs; secret ones only when asked for. Raises `Problems` when there are none."""
    command = ["pulumi", "--non-interactive", "stack", "output", "--json", "--stack", stack]
    try:
        done = subprocess.run(
            [*command, "--show-secrets"] if secrets else command, cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise _unknown(stack, "pulumi is not installed", "run `make setup`") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise _unknown(stack, said[-1] if said else "pulumi gave no outputs", f"run `make up STACK={stack}` first")
    found: dict[str, Any] = json.loads(done.stdout or "{}")
    if "gatewayUrl" not in found:
        raise _unknown(stack, "is not deployed", f"run `make up STACK={stack}` first")
    return found


def _unknown(stack: str, wrong: str, remedy: str) -> Problems:
    return Problems([Problem(path=f"stack {stack}", wrong=wrong, remedy=remedy)])
