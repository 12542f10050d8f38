"""One shape for everything that is wrong with what a person wrote: where, what was read, what is wrong, how to mend it.

Problems are collected and raised together, so that one run shows them all. A problem never holds a sensitive value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

SHOWN_CHARACTERS = 60
"""A value is cut to this length when it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    `path` names the field as it is written (`servers.time.values.TZ`, `env[2].key`), `value` what was read there
    (None: nothing, or something that may not be shown), `remedy` what to do. `file`, `line` (from 1) and `entry` (an
    entry's name) are given where known.
    """

    path: str
    wrong: str
    remedy: str
    value: str | None = None
    file: str | None = None
    line: int | None = None
    entry: str | None = None

    def __str__(self) -> str:
        """One line: `catalog/a.yaml:12: Time: env[0].key: got "a b": ...; remedy`."""
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        where = ": ".join(part for part in (place, self.entry, self.path) if part)
        got = f"got {self.value}: " if self.value is not None else ""
        return f"{where}: {got}{self.wrong}; {self.remedy}"

    def at(self, *, file: str | None = None, line: int | None = None, entry: str | None = None) -> Problem:
        """Return the same problem with its place filled in where it was open."""
        return replace(self, file=self.file or file, line=self.line or line, entry=self.entry or entry)


def shown(value: object) -> str:
    """Spell a value that is not secret, as JSON and cut to a readable length."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


class Problems(Exception):
    """All that is wrong, at once, sorted by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep each problem once."""
        unique = dict.fromkeys(problems)
        self.problems: tuple[Problem, ...] = tuple(sorted(unique, key=lambda p: (p.file or "", p.line or 0)))
        super().__init__(str(self))

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.problems)

    def __str__(self) -> str:
        """A line for each problem, under a line that counts them."""
        count = len(self.problems)
        return "\n".join(
            (f"{count} problem{'s' if count != 1 else ''}:", *(f"  {problem}" for problem in self.problems))
        )

    def to_json(self) -> list[dict[str, str | int | None]]:
        """Return the problems as plain data for machines."""
        return [asdict(problem) for problem in self.problems]


def raise_if(problems: Sequence[Problem]) -> None:
    """Raise `Problems` when there is any."""
    if problems:
        raise Problems(problems)


@contextmanager
def collected(into: list[Problem]) -> Iterator[None]:
    """Add the problems that the block raises to a list instead of letting them out."""
    try:
        yield
    except Problems as problems:
        into.extend(problems)
