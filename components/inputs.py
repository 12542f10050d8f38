"""The end that reads: the stack's config and secrets from the engine, and the files that images are made of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pulumi.runtime

from components.config.load import stack_values
from components.config.read import ENGINE_FIELDS, Stack, from_engine
from components.config.stack import NAMESPACE
from components.errors import Problem, Problems
from components.plan.model import HostingPlan, LocalFolderImage

SOURCE_FOLDERS = ("templates/images", "images")
_SKIPPED = frozenset({"__pycache__", ".git", "node_modules", ".venv"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the engine hands over."""

    stack: str
    config: Stack
    secrets: Mapping[str, str] = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)
    """Login -> first password."""


def read(root: Path) -> Inputs:
    """Return the stack's inputs; raises `Problems`."""
    secrets, passwords = _texts("secrets"), _texts("passwords")
    values = from_engine({key: _config(key) for key in ENGINE_FIELDS})
    return Inputs(
        stack=pulumi.get_stack(),
        config=stack_values(values, root, secrets=secrets.keys(), passwords=passwords.keys()),
        secrets=secrets,
        passwords=passwords,
    )


def read_sources(root: Path, plan: HostingPlan) -> dict[str, bytes]:
    """Return the files that the plan's images are made of, by their path relative to the project's root."""
    local = [
        server.hosted.image.context
        for server in plan.servers
        if server.hosted is not None and isinstance(server.hosted.image, LocalFolderImage)
    ]
    found: dict[str, bytes] = {}
    for folder in dict.fromkeys((*SOURCE_FOLDERS, *local)):
        if not (root / folder).is_dir():
            raise Problems(
                [Problem(path="images.local", value=folder, wrong="is not a folder", remedy="mend the context")]
            )
        found |= {path.relative_to(root).as_posix(): path.read_bytes() for path in _files(root / folder)}
    return found


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        yield from (Path(place) / name for name in sorted(files))


def _config(key: str) -> str | None:
    value: object = pulumi.runtime.config.get_config(f"{NAMESPACE}:{key}")
    return None if value is None else str(value)


def _texts(key: str) -> dict[str, str]:
    """A mapping of texts among the secret config values; nothing of it is ever part of a message."""
    text = _config(key)
    try:
        values = json.loads(text) if text else {}
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Problems(
            [
                Problem(
                    path=key,
                    wrong="is not a mapping of texts",
                    remedy=f"set one at a time: pulumi config set --secret --path '{NAMESPACE}:{key}[\"NAME\"]'",
                )
            ]
        )
    return values
