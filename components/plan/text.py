"""Texts that may have secret pieces: the plan names a secret, its value is put in when resources are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """A secret of the stack by its name, never its value."""

    name: str
    source: Literal["secret", "passwordHash"] = "secret"
    """`secret`: the key `name` of `mcp-hosting:secrets`. `passwordHash`: the argon2id hash of the login's password."""
    prefix: str = ""
    """Put before the value unless it is empty or starts with this already."""


@dataclass(frozen=True, slots=True, init=False)
class Text:
    """A text in pieces, some of them secret."""

    pieces: tuple[str | SecretRef, ...]

    def __init__(self, *pieces: str | SecretRef) -> None:
        """Join neighbouring plain pieces, so that equal texts are equal values."""
        joined: list[str | SecretRef] = []
        for piece in pieces:
            if isinstance(piece, str) and joined and isinstance(joined[-1], str):
                joined[-1] += piece
            elif piece != "":
                joined.append(piece)
        object.__setattr__(self, "pieces", tuple(joined))

    @property
    def secrets(self) -> tuple[SecretRef, ...]:
        """The secret pieces, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, SecretRef))

    @property
    def plain(self) -> str:
        """The whole text; raises `ValueError` when a piece is secret."""
        if self.secrets:
            raise ValueError("the text has secret pieces")
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    def __str__(self) -> str:
        """The text as people may see it: `Bearer {secret: API_KEY}`."""
        return "".join(
            piece if isinstance(piece, str) else f"{piece.prefix}{{{piece.source}: {piece.name}}}"
            for piece in self.pieces
        )


Json = None | bool | int | float | str | Text | dict[str, "Json"] | list["Json"]
"""A JSON document whose strings may have secret pieces."""


def secrets_of(value: Json) -> Iterator[SecretRef]:
    """Yield all secrets that a document refers to."""
    if isinstance(value, Text):
        yield from value.secrets
    elif isinstance(value, dict):
        for item in value.values():
            yield from secrets_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from secrets_of(item)
