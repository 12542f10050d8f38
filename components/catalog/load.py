"""Reads catalog files: the only room of the catalog that touches the disk.

`include` names files, and folders that are read whole: every `*.json`, `*.yaml` and `*.yml` below, unless
`.obotcatalogs` in the folder's root gives other patterns (one a line, `#` starts a comment), and except what
`.ignoreobotcatalogs` lists (patterns for the path below the root; a folder that fits is skipped whole). `.git` and
symbolic links are skipped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from components.catalog.entry import Entry
from components.catalog.parse import MAX_BYTES, parsed
from components.catalog.read import entries
from components.errors import Problem, Problems, collected, raise_if

PATTERNS = ("*.json", "*.yaml", "*.yml")
MAX_FILES = 1000
PATTERNS_FILE = ".obotcatalogs"
IGNORE_FILE = ".ignoreobotcatalogs"


def load(include: Sequence[str], root: Path) -> tuple[Entry, ...]:
    """Return the entries of files and folders, which are relative to `root` or absolute.

    Raises `Problems` with all that is wrong in all of them. That ids are distinct is checked by `read.distinct`, once
    every source is known.
    """
    problems: list[Problem] = []
    found: list[Entry] = []
    seen: set[Path] = set()
    for index, name in enumerate(include):
        with collected(problems):
            for path in _files(root / name, name, f"catalog.include[{index}]"):
                if path not in seen:
                    seen.add(path)
                    with collected(problems):
                        file = _label(path, root)
                        found.extend(entries(parsed(text(path, file), file=file), file=file))
    raise_if(problems)
    return tuple(found)


def text(path: Path, file: str) -> str:
    """Return a regular file's text; raises `Problems` naming it `file`."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        return content.decode("utf-8-sig")
    except OSError as error:
        wrong = f"can't be read: {error.strerror}"
    except UnicodeDecodeError:
        if len(content) > MAX_BYTES:
            return " " * (MAX_BYTES + 1)
        wrong = "is not UTF-8"
    raise Problems([Problem(path="", wrong=wrong, remedy="mend the file, or leave it out", file=file)])


def _label(path: Path, root: Path) -> str:
    """Name a file as people would: relative to the project's root where it is below it."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _files(path: Path, name: str, place: str) -> list[Path]:
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        raise _unusable(
            place, name, "does not exist", "name a file or folder, relative to the project's root"
        ) from None
    if stat.S_ISREG(mode):
        return [path]
    if not stat.S_ISDIR(mode):
        raise _unusable(place, name, "is neither a file nor a folder", "name the file itself")
    patterns = _patterns(path / PATTERNS_FILE) or PATTERNS
    found: list[Path] = []
    for file in _walk(path, path, _patterns(path / IGNORE_FILE)):
        if _fits(file.relative_to(path), patterns):
            found.append(file)
            if len(found) > MAX_FILES:
                raise _unusable(place, name, f"holds more than {MAX_FILES} catalog files", "include smaller folders")
    if not found:
        raise _unusable(place, name, "holds no catalog file", f"put files {', '.join(patterns)} there")
    return found


def _unusable(place: str, name: str, wrong: str, remedy: str) -> Problems:
    return Problems([Problem(path=place, value=name, wrong=wrong, remedy=remedy)])


def _walk(folder: Path, root: Path, ignored: Sequence[str]) -> Iterator[Path]:
    try:
        children = sorted(os.scandir(folder), key=lambda child: child.name)
    except OSError as error:
        raise _unusable("catalog.include", str(folder), f"can't be read: {error.strerror}", "mend its mode") from None
    for child in children:
        path = Path(child.path)
        if child.is_symlink() or child.name == ".git" or _fits(path.relative_to(root), ignored):
            continue
        if child.is_dir(follow_symlinks=False):
            yield from _walk(path, root, ignored)
        elif child.is_file(follow_symlinks=False):
            yield path


def _fits(path: Path, patterns: Sequence[str]) -> bool:
    relative = path.as_posix()
    return any(fnmatchcase(relative, pattern) or fnmatchcase(path.name, pattern) for pattern in patterns)


def _patterns(path: Path) -> tuple[str, ...]:
    if path.is_symlink() or not path.is_file():
        return ()
    lines = (line.strip() for line in text(path, path.name).splitlines())
    return tuple(line.rstrip("/") for line in lines if line and not line.startswith("#"))
