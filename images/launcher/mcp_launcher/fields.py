"""Reads fields of a JSON document and notes every problem, so that all of them are told at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Made = TypeVar("Made")


class Problems:
    """What is wrong with a document: one line each, with the path of the field."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, path: str, wanted: str) -> None:
        """Note that a field isn't what was wanted. Values are never quoted."""
        self.lines.append(f"{path or 'the document'}: {wanted}")


class Fields:
    """One object of the document, of which exactly the fields that are asked for may be there."""

    def __init__(self, value: Any, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._left: dict[str, Any] = {}
        if isinstance(value, Mapping):
            self._left = dict(value)
        else:
            problems.add(path, "want an object")

    def take(self, name: str) -> Any:
        """Return a field's value, None when it is missing (which is noted)."""
        if name not in self._left:
            self._problems.add(self.path(name), "is missing")
            return None
        return self._left.pop(name)

    def path(self, name: str) -> str:
        """Return the path of a field, for a problem's line."""
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str, pattern: "re.Pattern[str]", wanted: str, otherwise: str = "") -> str:
        """Return a text that fits the pattern as a whole."""
        value = self.take(name)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self._problems.add(self.path(name), f"want {wanted}")
        return otherwise

    def number(self, name: str, least: int, most: int) -> int:
        """Return a whole number of the range."""
        value = self.take(name)
        if type(value) is int and least <= value <= most:
            return value
        self._problems.add(self.path(name), f"want a whole number from {least} to {most}")
        return least

    def optional_number(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number of the range, or None for null."""
        if self._left.get(name, 0) is None:
            del self._left[name]
            return None
        return self.number(name, least, most)

    def amount(self, name: str, least: float, most: float) -> float:
        """Return a number of the range."""
        value = self.take(name)
        if type(value) in (int, float) and least <= value <= most:
            return float(value)
        self._problems.add(self.path(name), f"want a number from {least:g} to {most:g}")
        return least

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.take(name)
        if isinstance(value, bool):
            return value
        self._problems.add(self.path(name), "want true or false")
        return False

    def inner(self, name: str, read: Callable[["Fields"], Made]) -> Made:
        """Return what `read` makes of an object."""
        fields = Fields(self.take(name), self.path(name), self._problems)
        made = read(fields)
        fields.end()
        return made

    def optional(self, name: str, read: Callable[["Fields"], Made]) -> Made | None:
        """Return what `read` makes of an object, or None for null."""
        if self._left.get(name, 0) is None:
            del self._left[name]
            return None
        return self.inner(name, read)

    def each(self, name: str, most: int, read: Callable[[Any, str], Made]) -> tuple[Made, ...]:
        """Return what `read` makes of each element of a list, with its path."""
        value = self.take(name)
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) <= most:
            return tuple(read(element, f"{self.path(name)}[{index}]") for index, element in enumerate(value))
        self._problems.add(self.path(name), f"want a list of at most {most}")
        return ()

    def mapping(
        self, name: str, most: int, keys: "re.Pattern[str]", wanted: str, read: Callable[[Any, str], Made]
    ) -> dict[str, Made]:
        """Return what `read` makes of each value of an object whose keys fit the pattern."""
        value = self.take(name)
        if not isinstance(value, Mapping) or len(value) > most:
            self._problems.add(self.path(name), f"want an object with at most {most} keys")
            return {}
        made = {}
        for key, element in value.items():
            if not keys.fullmatch(key):
                self._problems.add(self.path(name), f"has a key that is not {wanted}: {key[:100]!r}")
                continue
            made[key] = read(element, f"{self.path(name)}.{key}")
        return made

    def end(self) -> None:
        """Note each field that nobody asked for: it could be a restriction."""
        for name in self._left:
            self._problems.add(self.path(name[:100]), "is not a field of this document")
