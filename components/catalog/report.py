"""Collects what is wrong with one document, knowing the document's file, its entry and the line of each field."""

from __future__ import annotations

from collections.abc import Mapping

from components.catalog.parse import Path
from components.errors import Problem, shown

SECRET_FIELDS = frozenset({"value", "values", "userValues", "secrets", "passwords", "args", "prefix", "options"})
"""What stands in or under these fields is never shown: it may be a secret that was put into the wrong place."""


def spelled(path: Path) -> str:
    """Spell a path as people write it: `env[0].key`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Report:
    """The problems of one document, in the order in which they were found."""

    def __init__(
        self, *, file: str | None, entry: str | None = None, lines: Mapping[Path, int] | None = None, base: Path = ()
    ) -> None:
        """`base` is where the document stands in its file, `lines` the line of each path of the document."""
        self.file, self.entry, self.lines, self.base = file, entry, lines or {}, base
        self.problems: list[Problem] = []
        self.closed: list[Path] = []

    def add(self, path: Path, wrong: str, remedy: str, value: object = None) -> None:
        """Add a problem; nothing is added about a field that was unreadable and is reported as such already."""
        if any(path[: len(closed)] == closed or closed[: len(path)] == path for closed in self.closed):
            return
        secret = any(part in SECRET_FIELDS for part in path)
        self.problems.append(
            Problem(
                path=spelled((*self.base, *path)),
                value=None if value is None or secret else shown(value),
                wrong=wrong,
                remedy=remedy,
                file=self.file,
                line=self._line(path),
                entry=self.entry,
            )
        )

    def close(self, path: Path) -> None:
        """Say that a field could not be read: what other rules find there would mislead."""
        self.closed.append(path)

    def _line(self, path: Path) -> int | None:
        for end in range(len(path), -1, -1):
            if (line := self.lines.get(path[:end])) is not None:
                return line
        return None
