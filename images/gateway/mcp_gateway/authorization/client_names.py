"""Names that applications give themselves, made fit to be shown."""

from __future__ import annotations

from typing import Final

LONGEST_NAME: Final = 100


def shown_name(name: str) -> str:
    """The name on one line, without what can't be seen or turns the text around it, and not longer than a line."""
    printable = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(printable.split())[:LONGEST_NAME]
