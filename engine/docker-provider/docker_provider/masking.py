"""Blanks out secrets in texts for people: errors, a container's last log lines, progress. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

MASK = "[secret]"
WHOLE_LENGTH = 4
PART_LENGTH = 8
"""Shorter texts (and shorter parts of a longer secret) are not masked: they would blank out unrelated words."""


def masked(text: str, secrets: Iterable[str]) -> str:
    """`text` without `secrets` and what is known to be in them: lines, a variable's value, a JSON document's texts."""
    pieces = {piece for secret in secrets for piece in _pieces(secret)}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, MASK)
    return text


def shows(value: Any, secrets: Iterable[str]) -> bool:
    """Whether a text in `value` contains one of `secrets`."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return any(json.dumps(secret, ensure_ascii=False)[1:-1] in text for secret in secrets if len(secret) >= PART_LENGTH)


def _pieces(secret: str) -> Iterator[str]:
    if len(secret) >= WHOLE_LENGTH:
        yield secret
    yield from (line for line in secret.splitlines() if len(line) >= PART_LENGTH)
    if variable := re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=(.+)", secret, re.DOTALL):
        yield from (value for value in variable.groups() if len(value) >= WHOLE_LENGTH)
    if secret.lstrip()[:1] in ("{", "["):
        try:
            yield from _texts(json.loads(secret))
        except ValueError:
            return


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (word for word in value.split() if len(word) >= PART_LENGTH)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
