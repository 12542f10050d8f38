"""What the provider reports to the person who runs `pulumi`."""

from __future__ import annotations

from collections.abc import Iterable

MASK = "[secret]"
MASKED_LENGTH = 4
"""Shorter texts are not masked: they would blank out unrelated words and are no secrets worth the name."""


class ProviderError(Exception):
    """An operation that failed, with a message for people: what, why, and how to mend it."""


def masked(text: str, secrets: Iterable[str]) -> str:
    """`text` with every one of `secrets` (and each line of a longer one) blanked out."""
    pieces = {piece for secret in secrets for piece in (secret, *secret.splitlines()) if len(piece) >= MASKED_LENGTH}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, MASK)
    return text
