"""A build context: which files go to the engine, their digest, and a tar archive that is equal for equal files."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from docker_provider.docker_engine import load_sdk
from docker_provider.errors import ProviderError

OUTSIDE_DOCKERFILE = ".dockerfile.outside-context"
"""The archive's name for a Dockerfile that doesn't lie in the context."""


@dataclass(frozen=True, slots=True)
class BuildContext:
    """A folder and the Dockerfile to build it with."""

    root: Path
    dockerfile: Path
    entries: tuple[str, ...]
    """Paths relative to `root`, sorted, without what `.dockerignore` excludes."""

    @property
    def dockerfile_name(self) -> str:
        """The Dockerfile's path inside the archive."""
        if self.dockerfile.is_relative_to(self.root):
            return self.dockerfile.relative_to(self.root).as_posix()
        return OUTSIDE_DOCKERFILE


def build_context(context: str, dockerfile: str | None) -> BuildContext:
    """Reads the folder; relative paths start at the working directory. Raises `ProviderError`, remedy included."""
    load_sdk()
    from docker.utils.build import exclude_paths

    root = Path(context).resolve()
    if not root.is_dir():
        raise ProviderError(f"build.context: {context} is not a folder (looked in {Path.cwd()})")
    file = Path(dockerfile).resolve() if dockerfile else root / "Dockerfile"
    if not file.is_file():
        inside = Path(context) / (dockerfile or "Dockerfile")
        hint = f"; try {inside}" if dockerfile and inside.is_file() else f" (looked in {Path.cwd()})"
        raise ProviderError(f"build.dockerfile: could not open {dockerfile or inside}{hint}")
    ignore = root / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else None
    paths = exclude_paths(str(root), patterns, dockerfile=name)
    entries = {Path(path).as_posix() for path in paths} - {"."}
    return BuildContext(root, file, tuple(sorted(entries | ({name} if name else set()))))


def digest(context: BuildContext) -> str:
    """SHA-256 over names, kinds, execute bits and contents of everything that is sent, and the Dockerfile."""
    total = hashlib.sha256()
    for name in context.entries:
        path = context.root / name
        mode = path.lstat().st_mode
        total.update(f"{name}\0{_mode(mode):o}\0".encode())
        if stat.S_ISLNK(mode):
            total.update(os.readlink(path).encode())
        elif stat.S_ISREG(mode):
            total.update(_file_digest(path))
    total.update(b"\0Dockerfile\0" + context.dockerfile_name.encode() + _file_digest(context.dockerfile))
    return total.hexdigest()


def write_archive(context: BuildContext, target: IO[bytes]) -> None:
    """Writes the archive: owned by root, dated 1970, so that the engine's cache sees contents only."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in context.entries:
            _add(tar, context.root / name, name)
        if context.dockerfile_name == OUTSIDE_DOCKERFILE:
            _add(tar, context.dockerfile, OUTSIDE_DOCKERFILE)
    target.seek(0)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    status = path.lstat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return  # a socket or a device is nothing to build from
    entry = tarfile.TarInfo(name)
    entry.mode = _mode(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
        tar.addfile(entry)
    elif stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    else:
        with path.open("rb") as content:
            entry.size = os.fstat(content.fileno()).st_size
            tar.addfile(entry, content)


def _mode(mode: int) -> int:
    """Permissions as any checkout gives them: a umask must not change the image."""
    if stat.S_ISLNK(mode):
        return 0o777
    return 0o755 if stat.S_ISDIR(mode) or mode & 0o100 else 0o644


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
