"""Collects what is wrong with one server, each problem with the entry's place."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.catalog.entry import Entry
from components.errors import Problem
from components.plan.model import Deviation


@dataclass
class Report:
    """What is found while one entry is planned."""

    entry: Entry
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    deviations: list[Deviation] = field(default_factory=list)

    def in_catalog(self, path: str, wrong: str, remedy: str, value: str | None = None) -> None:
        """Add a problem with a field of the entry."""
        problem = Problem(path=path, wrong=wrong, remedy=remedy, value=value)
        source = self.entry.source
        self.problems.append(problem.at(file=source.file, line=source.line, entry=self.entry.name))

    def in_stack(self, field_: str, wrong: str, remedy: str, value: str | None = None) -> None:
        """Add a problem with what the stack says of the server, `field_` below `servers.<id>`."""
        path = f"servers.{self.entry.id}.{field_}"
        self.problems.append(Problem(path=path, wrong=wrong, remedy=remedy, value=value, entry=self.entry.name))
