"""Texts that hold pieces which are not known when the stack is planned: the plan names them, others put them in.

A secret's value is put in when resources are made, a user's value when that user's instance is started, an image's id
once the image is built or pulled.
"""

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

    def __str__(self) -> str:
        return f"{self.prefix}{{{self.source}: {self.name}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserValue:
    """What each user gives for the setting of this key, with the setting's prefix in front."""

    key: str
    sensitive: bool = False

    def __str__(self) -> str:
        return f"{{user: {self.key}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageId:
    """The id by which the engine knows an image (`sha256:…`); `reference` names it in the rendering."""

    reference: str
    pulled: bool = False

    def __str__(self) -> str:
        return f"{{image: {self.reference}}}"


Open = SecretRef | UserValue | ImageId
"""A piece that is put in later."""


@dataclass(frozen=True, slots=True, init=False)
class Text:
    """A text in pieces, some of them open."""

    pieces: tuple[str | Open, ...]

    def __init__(self, *pieces: str | Open) -> None:
        """Join neighbouring plain pieces, so that equal texts are equal values."""
        joined: list[str | Open] = []
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
    def user_values(self) -> tuple[UserValue, ...]:
        """The pieces that users give, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, UserValue))

    @property
    def sensitive(self) -> bool:
        """Whether a piece is secret, or is a user's value that nobody else may see."""
        return bool(self.secrets) or any(value.sensitive for value in self.user_values)

    @property
    def is_plain(self) -> bool:
        """Whether the whole text is known."""
        return all(isinstance(piece, str) for piece in self.pieces)

    @property
    def plain(self) -> str:
        """The whole text; raises `ValueError` when a piece is open."""
        if not self.is_plain:
            raise ValueError("the text has open pieces")
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    def __str__(self) -> str:
        """The text as people may see it: `Bearer {secret: API_KEY}`."""
        return "".join(str(piece) for piece in self.pieces)


Json = None | bool | int | float | str | Text | dict[str, "Json"] | list["Json"]
"""A JSON document whose strings may have open pieces."""


def texts_of(value: Json) -> Iterator[Text]:
    """Yield all texts of a document that may have open pieces."""
    if isinstance(value, Text):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


def secrets_of(value: Json) -> Iterator[SecretRef]:
    """Yield all secrets that a document refers to."""
    for text in texts_of(value):
        yield from text.secrets


def images_of(value: Json) -> Iterator[ImageId]:
    """Yield all images whose ids a document holds."""
    for text in texts_of(value):
        yield from (piece for piece in text.pieces if isinstance(piece, ImageId))
