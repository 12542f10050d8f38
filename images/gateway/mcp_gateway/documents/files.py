"""The files by which a gateway document is delivered: the document itself and its acknowledgement."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Final

DOCUMENT_NAME: Final = "gateway.json"
ACKNOWLEDGEMENT_NAME: Final = "applied.json"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old content or the new, readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def acknowledge(folder: Path, digest: str, problems: list[str]) -> None:
    """Say what became of the document with this digest; no problems means that it is in force."""
    content = json.dumps({"digest": digest, "problems": problems}).encode()
    write_atomically(folder / ACKNOWLEDGEMENT_NAME, content)


def acknowledged(folder: Path, digest: str) -> list[str] | None:
    """The problems of the document with this digest, or None while there is no answer about it."""
    try:
        answer = json.loads((folder / ACKNOWLEDGEMENT_NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return [str(problem) for problem in answer["problems"]] if answer.get("digest") == digest else None
