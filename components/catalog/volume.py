"""Where a user's own volume may be mounted in a server's container."""

from __future__ import annotations

import re

TAKEN = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt/runner", "/proc", "/run", "/sbin"),
    *("/sys", "/tmp", "/usr", "/var/run"),  # noqa: S108 - names of folders of a container
)
"""Folders of the system and of the project's own files: a volume there, or above or below, would hide or be hidden."""
PROGRAMS = ("/app", "/opt")
"""Where the images of npx and uvx servers have what they run."""

_PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){1,10}")
"""The launcher takes no other (docs/contracts.md, section 8)."""


def path_wrong(path: str, *, packaged: bool = False) -> str | None:
    """Say why a volume can't be mounted there; None when it can. `packaged`: in the image of an npx or uvx server."""
    if not path.startswith("/"):
        return "is not an absolute path such as /data"
    if not _PATH.fullmatch(path):
        return "is not a plain path such as /data: at most 10 names of letters, digits, _ . - between single slashes"
    for taken in (*TAKEN, *(PROGRAMS if packaged else ())):
        if path == taken or path.startswith(f"{taken}/") or taken.startswith(f"{path}/"):
            return f"would hide {taken}, which the server needs as it is"
    return None
