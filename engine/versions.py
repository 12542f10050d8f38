"""The versions that the engine asks for, and how versions compare."""

from __future__ import annotations

import re
from pathlib import Path

PULUMI = "3.259.0"
PULUMI_AT_LEAST = (3, 200)
DOCKER_PROVIDER = "5.2.0"
KUBERNETES_PROVIDER = "4.34.2"
DOCKER_API_AT_LEAST = (1, 41)


def numbers(text: str) -> tuple[int, ...]:
    """Return the first version number in `text` as a tuple that compares; empty when there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def go_directive(go_mod: Path) -> tuple[int, ...]:
    """Return the Go version that a go.mod asks for."""
    line = next((line for line in go_mod.read_text().splitlines() if line.startswith("go ")), "")
    return numbers(line)
