"""A configuration from standard input: read once to its end, its files put where the child finds them."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path
from typing import Any

from mcp_runner.config import ConfigError, RunnerConfig, is_text, parse, parse_object

DOCUMENT_BYTES = 1_048_576
"""A longer document is refused."""
PAUSE_SECONDS = 60.0
"""Whoever sends the document sends all of it at once: after so long without a byte it won't come any more."""
_SOURCE = "standard input"


def receive(folder: Path, inherited: Any) -> RunnerConfig:
    """Read the document, put `/dev/null` in the place of standard input, and write `files` below `folder`.

    Nothing is written unless the whole document is right. Raises ConfigError with all problems, which name fields and
    never a value.
    """
    document = parse_object(_read(), _SOURCE)
    secrets, files = document.pop("secretEnv", {}), document.pop("files", {})
    problems = []
    if not _texts(secrets):
        problems.append("secretEnv: want an object of strings without NUL")
        secrets = {}
    if not _texts(files):
        problems.append("files: want an object of strings without NUL")
        files = {}
    problems += [f"files: {name!r} isn't a file's name" for name in files if not _is_name(name)]
    if "secretEnvFile" in document:
        problems.append(f"secretEnvFile: not with {_SOURCE}; use secretEnv")
        del document["secretEnvFile"]
    try:
        config = parse(document, secrets, inherited)
    except ConfigError as error:
        problems += str(error).splitlines()
    if problems:
        raise ConfigError("\n".join(sorted(problems)))
    if files:
        _write(folder, files)
    return config


def _read() -> bytes:
    parts, size = [], 0
    try:
        while True:
            if not select.select([0], [], [], PAUSE_SECONDS)[0]:
                raise ConfigError(f"{_SOURCE}: its end didn't come within {PAUSE_SECONDS:g} s")
            part = os.read(0, 65_536)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > DOCUMENT_BYTES:
                raise ConfigError(f"{_SOURCE}: the document is longer than {DOCUMENT_BYTES} bytes")
    except OSError as error:
        raise ConfigError(f"{_SOURCE}: {error.strerror}") from None
    finally:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    if not size:
        raise ConfigError(f"{_SOURCE}: it ended without a document; whoever started this runner went away too soon")
    return b"".join(parts)


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(is_text(text) for text in value.values())


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and is_text(name) and len(name.encode()) <= 255


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ConfigError(f"files: {folder} isn't a folder of this user's own")
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"files: {folder}: {error.strerror}") from None
    for name, text in files.items():
        try:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(descriptor, "wb") as file:
                file.write(text.encode())
        except OSError as error:
            raise ConfigError(f"files: {name!r} can't be written: {error.strerror}") from None
