"""The files of a container's `uploads`, as tar archives to be copied in before it starts.

Docker refuses a copy into a read-only root filesystem, but allows one into a writable volume when the copy is addressed
to the volume's own path. So each file goes to the deepest writable volume above it, and to "/" if there is none.
"""

from __future__ import annotations

import base64
import binascii
import io
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker_provider.check import Failure
from docker_provider.errors import ProviderError


@dataclass(frozen=True, slots=True)
class File:
    """One file to copy: `path` below `destination`, a folder of the container. Its content is never shown."""

    destination: str
    path: str
    mode: int
    owner: int
    group: int
    content: bytes


def upload_failures(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """What is wrong with the uploads; the values are plain, unknown ones are passed over."""
    targets = list(_writable_targets(inputs))
    for i, upload in enumerate(inputs.get("uploads", [])):
        given = [key for key in ("content", "contentBase64", "source") if key in upload]
        if len(given) != 1:
            yield Failure(f"uploads[{i}]", "needs exactly one of content, contentBase64 and source")
        if isinstance(encoded := upload.get("contentBase64"), str):
            try:
                base64.b64decode(encoded, validate=True)
            except binascii.Error:
                yield Failure(f"uploads[{i}].contentBase64", "is not base64")
        file = upload.get("file")
        if inputs.get("readOnly") is True and isinstance(file, str) and _destination(file, targets) == "/":
            yield Failure(
                f"uploads[{i}].file",
                f"Docker cannot copy {file} into a read-only root filesystem (readOnly: true); "
                f"give the container a writable volume at {posixpath.dirname(file)} or set readOnly to false",
            )


def files(inputs: Mapping[str, Any]) -> list[File]:
    """The files to copy; raises `ProviderError` when a source cannot be read."""
    targets = list(_writable_targets(inputs))
    found = []
    for upload in inputs.get("uploads", []):
        destination = _destination(upload["file"], targets)
        mode = (
            int(upload["permissions"], 8) if "permissions" in upload else 0o744 if upload.get("executable") else 0o644
        )
        path = posixpath.relpath(upload["file"], destination)
        owner, group = int(upload.get("owner", "0")), int(upload.get("group", "0"))
        found.append(File(destination, path, mode, owner, group, _content(upload)))
    return found


def parents(file: File) -> list[str]:
    """The folders above the file, inside its destination, outermost first."""
    parts = file.path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def archive(file: File, missing_folders: list[str]) -> bytes:
    """A tar archive with the file; folders that the container lacks are made readable for all, as `mkdir -p` would."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in missing_folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        entry = tarfile.TarInfo(file.path)
        entry.mode, entry.uid, entry.gid, entry.size = file.mode, file.owner, file.group, len(file.content)
        tar.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def _content(upload: Mapping[str, Any]) -> bytes:
    if "content" in upload:
        return str(upload["content"]).encode()
    if "contentBase64" in upload:
        return base64.b64decode(upload["contentBase64"])
    try:
        return Path(upload["source"]).read_bytes()
    except OSError as error:
        raise ProviderError(
            f"uploads: {upload['file']}: cannot read the source {upload['source']}: {error.strerror}"
        ) from None


def _writable_targets(inputs: Mapping[str, Any]) -> Iterator[str]:
    for mount in inputs.get("mounts", []):
        if (
            mount.get("type") in ("bind", "volume")
            and not mount.get("readOnly")
            and isinstance(mount.get("target"), str)
        ):
            yield posixpath.normpath(mount["target"])
    for volume in inputs.get("volumes", []):
        if not volume.get("readOnly") and isinstance(volume.get("containerPath"), str):
            yield posixpath.normpath(volume["containerPath"])


def _destination(file: str, targets: list[str]) -> str:
    above = [target for target in targets if posixpath.normpath(file).startswith(f"{target.rstrip('/')}/")]
    return max(above, key=len, default="/")
