"""Texts that people see: what a page or a client's list can show, and no more."""

from __future__ import annotations

NAME_LENGTH = 200
TEXT_LENGTH = 20_000
"""The gateway's own bounds (docs/contracts.md, section 1)."""


def line(text: str, longest: int = NAME_LENGTH) -> str:
    """Return the first words of a text on one line."""
    return _cut(" ".join("".join(char if char.isprintable() else " " for char in text).split()), longest)


def paragraphs(text: str, longest: int = TEXT_LENGTH) -> str:
    """Return a text without control characters, its lines kept."""
    return _cut("".join(char for char in text if char.isprintable() or char in "\n\t"), longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
