"""The templates' file: delivered by a one-shot of `pulumi up`, taken up by the launcher within a second."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mcp_launcher.log import write
from mcp_launcher.templates import LARGEST_DOCUMENT, InvalidTemplates, Templates, parse

DELIVERED = Path("/etc/mcp/instances.json")
IN_FORCE = Path("/templates/instances.json")
LOOK_SECONDS = 0.5


def deliver(source: Path = DELIVERED, target: Path = IN_FORCE) -> int:
    """Check the document and put it where the launcher looks; returns the exit status. Problems: standard error."""
    try:
        content = read(source)
        parse(content)
        place(content, target)
    except InvalidTemplates as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or target}: {error.strerror}\n")
        return 1
    return 0


def place(content: bytes, target: Path) -> None:
    """Write a file atomically, readable by its owner alone."""
    new = target.with_name(f".{target.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(target)


def read(source: Path) -> bytes:
    """Read a document, no more of it than it may have."""
    with source.open("rb") as file:
        return file.read(LARGEST_DOCUMENT + 1)


class TemplateFile:
    """Looks at the file again and again; what doesn't validate leaves the last good one in force."""

    def __init__(self, path: Path, stack: str) -> None:
        self._path = path
        self._stack = stack
        self._seen: tuple[int, int, int] | None = None

    def news(self) -> Templates | None:
        """Return the templates when the file is a new one and right, else None."""
        try:
            found = self._path.stat()
            mark = (found.st_ino, found.st_mtime_ns, found.st_size)
            if mark == self._seen:
                return None
            self._seen = mark
            templates = parse(read(self._path), self._stack)
        except FileNotFoundError:
            return None
        except OSError as error:
            write("error", "templates can't be read", reason=str(error))
            return None
        except InvalidTemplates as error:
            write("error", "templates are not valid, the last ones stay in force", problems=error.problems[:50])
            return None
        write("info", "templates in force", servers=len(templates.servers))
        return templates

    def follow(self, taken_up: Callable[[Templates], None]) -> None:
        """Hand over each new document, for ever."""
        while True:
            if (templates := self.news()) is not None:
                taken_up(templates)
            time.sleep(LOOK_SECONDS)
