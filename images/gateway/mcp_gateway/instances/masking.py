"""Hides sensitive values in what an instance wrote, in the forms that programs write them in. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "•••"
SHORTEST: Final = 4
"""A shorter value would hide half of every line, and a guess would find it anyway."""

_SHORTEST_CORE: Final = 6


class Masking:
    """Masks one set of values."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in _forms(value)}
        # The longest first: a value that begins like another must not leave its own end behind.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def mask(self, text: str) -> str:
        """The text with every form of every value replaced."""
        parts, at = [], 0
        # Forms may overlap, and what is left of the second one must not show.
        for begin, end in _merged(self._spans(text)):
            parts += [text[at:begin], MASK]
            at = end
        return "".join([*parts, text[at:]])

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        at = 0
        while self._pattern is not None and (found := self._pattern.search(text, at)):
            yield found.span()
            at = found.start() + 1


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def last_lines(lines: Sequence[str], masking: Masking, most_bytes: int) -> list[str]:
    """The last lines, masked, as many as fit; the first of them may have lost its beginning."""
    kept: list[str] = []
    room = most_bytes
    # Masked before it is cut: half a value would not be found.
    for line in reversed(masking.mask("\n".join(lines)).split("\n")):
        if room <= 0:
            break
        encoded = line.encode("utf-8", "replace")
        kept.append(encoded[-room:].decode("utf-8", "ignore"))
        room -= len(encoded) + 1
    return kept[::-1]


def _forms(value: str) -> Iterator[str]:
    stripped = value.strip()
    # A file's lines may be written one at a time.
    for part in {value, stripped, *(line.strip() for line in value.splitlines())}:
        if len(part) < SHORTEST:
            continue
        yield part
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield repr(part)[1:-1]
        raw = part.encode("utf-8", "surrogatepass")
        for escaped in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
            yield escaped
            yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), escaped)
        yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        # Inside something longer, such as `user:password`, a value begins at any of three places of a group.
        for offset in range(3):
            whole = encode(bytes(offset) + raw).decode().rstrip("=")
            core = whole[(0, 2, 3)[offset] : len(whole) - (1 if (offset + len(raw)) % 3 else 0)]
            if len(core) >= _SHORTEST_CORE:
                yield core
