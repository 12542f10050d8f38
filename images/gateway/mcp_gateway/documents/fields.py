"""Reads a JSON object strictly: each field by name and type, every problem collected with its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

_KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "an object",
}


def _has_control_character(text: str) -> bool:
    return any(ord(character) < 32 and character not in "\n\t" for character in text)


@dataclass
class Fields:
    """One object of a document; `done` reports the fields that nobody asked for.

    Problems never quote a value: a field of the gateway document may be a secret.
    """

    raw: Mapping[str, object]
    path: str
    problems: list[str]
    asked: set[str] = field(default_factory=set)

    def problem(self, name: str, message: str) -> None:
        """Record a problem of one field."""
        self.problems.append(f"{self._at(name)}: {message}")

    def text(self, name: str, *, longest: int = 2000, empty: bool = False) -> str:
        """A string of at most `longest` characters without control characters."""
        value = cast("str | None", self._typed(name, str))
        if value is None:
            return ""
        if not value and not empty:
            self.problem(name, "must not be empty")
        if len(value) > longest:
            self.problem(name, f"is longer than {longest} characters")
        if _has_control_character(value):
            self.problem(name, "contains a control character")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or null."""
        return None if self._is_null(name) else self.text(name)

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of the strings that are allowed."""
        value = self.text(name)
        if value and value not in allowed:
            self.problem(name, f"must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._typed(name, bool))

    def number(self, name: str, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = cast("int | None", self._typed(name, int))
        if value is None:
            return least
        if not least <= value <= most:
            self.problem(name, f"must be between {least} and {most}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings that aren't empty."""
        value = cast("list[object] | None", self._typed(name, list)) or []
        if not all(isinstance(item, str) and item for item in value):
            self.problem(name, "must be a list of strings that aren't empty")
            return ()
        if any(_has_control_character(item) for item in cast("list[str]", value)):
            self.problem(name, "contains a control character")
        return tuple(cast("list[str]", value))

    def optional_texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, or null."""
        return None if self._is_null(name) else self.texts(name)

    def strings(self, name: str) -> dict[str, str]:
        """An object whose values are strings."""
        value = cast("dict[str, object] | None", self._typed(name, dict)) or {}
        if not all(isinstance(item, str) for item in value.values()):
            self.problem(name, "must be an object of strings")
            return {}
        return cast("dict[str, str]", dict(value))

    def null(self, name: str, why: str) -> None:
        """Nothing but null, for a reason."""
        if name not in self.raw:
            self.asked.add(name)
            self.problem(name, "is missing")
        elif not self._is_null(name):
            self.problem(name, f"must be null: {why}")

    def child(self, name: str) -> Fields:
        """An object within this one."""
        value = cast("dict[str, object] | None", self._typed(name, dict))
        inner = Fields(value or {}, self._at(name), self.problems)
        if value is None:
            inner.problems = []
        return inner

    def children(self, name: str) -> Iterator[Fields]:
        """The objects of a list."""
        for index, item in enumerate(cast("list[object] | None", self._typed(name, list)) or []):
            path = f"{self._at(name)}[{index}]"
            if isinstance(item, dict):
                yield Fields(item, path, self.problems)
            else:
                self.problems.append(f"{path}: must be an object")

    def named_children(self, name: str) -> Iterator[tuple[str, Fields]]:
        """The objects of an object, with their names."""
        for key, item in (cast("dict[str, object] | None", self._typed(name, dict)) or {}).items():
            path = f"{self._at(name)}.{key}"
            if isinstance(item, dict):
                yield key, Fields(item, path, self.problems)
            else:
                self.problems.append(f"{path}: must be an object")

    def done(self) -> None:
        """Report each field that isn't known."""
        self.problems.extend(f"{self._at(name)}: is not a known field" for name in self.raw if name not in self.asked)

    def _is_null(self, name: str) -> bool:
        self.asked.add(name)
        return name in self.raw and self.raw[name] is None

    def _typed(self, name: str, kind: type) -> object | None:
        self.asked.add(name)
        if name not in self.raw:
            self.problem(name, "is missing")
            return None
        value = self.raw[name]
        # bool is a subclass of int: `true` is not a number.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.problem(name, f"must be {_KINDS[kind]}")
            return None
        return value

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
