"""Writes the contexts of generated images below `build/`, where the Docker provider reads them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from components.render.docker.spec import ImageSpec


def write_contexts(images: Iterable[ImageSpec], root: Path) -> None:
    """Write each context that is generated. Its folder's name holds the digest of its content; only files that differ
    are written, and what doesn't belong there is removed.
    """
    for image in images:
        if image.files:
            _write(root / image.context, image)


def _write(folder: Path, image: ImageSpec) -> None:
    wanted = {folder / path for path in image.files}
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
    for found in list(folder.rglob("*")):
        if found.is_symlink() or (found.is_file() and found not in wanted):
            found.unlink()
    for path, content in image.files.items():
        target = folder / path
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)
        target.chmod(0o644)
