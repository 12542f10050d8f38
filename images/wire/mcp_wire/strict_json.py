"""JSON that every reader understands alike (RFC 8259 narrowed to I-JSON, RFC 7493), and its canonical bytes.

A body that a gateway and a server read differently lets a caller pass the gateway's policy with one meaning and reach
the server with another. So what two parsers may disagree about is refused here, and callers pass on `canonical`, never
the bytes that came in: duplicate names, integers that a double can't hold, numbers without a value, lone surrogates,
text that isn't UTF-8, and nesting so deep that a reader may give up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

import orjson

DEPTH = 64
"""Levels of arrays and objects that are accepted; MCP messages with a tool's schema have about twenty."""

LARGEST_INTEGER = 2**53 - 1
"""RFC 7493 section 2.2: a larger integer loses digits in readers that hold numbers as IEEE 754 doubles."""

_DIGITS_AS_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else byte for byte in range(256))
_UNSAFE_DIGITS = b"0" * 16


class StrictJsonError(ValueError):
    """The text isn't JSON, or readers could disagree about it; the message holds nothing of the text itself."""


def parse(raw: bytes, depth: int = DEPTH) -> tuple[Any, bytes]:
    """The value of `raw` and its canonical bytes; raises StrictJsonError.

    orjson refuses what no grammar allows, and invalid UTF-8, lone surrogates and infinite numbers. It keeps the last of
    duplicate names and turns large integers into doubles; both are found without a walk in the common case.
    """
    try:
        value = orjson.loads(raw)
        canonical = orjson.dumps(value)
    except (orjson.JSONDecodeError, TypeError) as error:
        # The parser's message may quote nothing of the text, but its position is of no use to a caller either.
        raise StrictJsonError("the text isn't valid JSON") from error
    if canonical.count(b"{") + canonical.count(b"[") > depth and _deeper_than(value, depth):
        raise StrictJsonError(f"the text is nested more than {depth} levels deep")
    if not _surely_exact(raw, canonical):
        _read_exactly(raw)
    return value, canonical


def case_variants(names: Iterable[str], known: frozenset[str], known_folded: frozenset[str]) -> list[str]:
    """Names that are not `known` but are spelled like one of them in another case.

    Some parsers (Go's encoding/json) match names without regard to case, by Unicode's folding: U+017F matches "s".
    """
    return [name for name in names if name not in known and name.casefold() in known_folded]


def _surely_exact(raw: bytes, canonical: bytes) -> bool:
    """Whether a look at the bytes proves that no name was dropped and no integer is out of range.

    Each member has one colon outside strings. Colons in strings are kept too, as orjson never escapes them, unless the
    text escaped them itself (`\\u003a`). So without such an escape a dropped member means fewer colons. An integer
    out of range has at least sixteen digits in a row.
    """
    return (
        raw.count(b":") == canonical.count(b":")
        and b"\\u003" not in raw
        and _UNSAFE_DIGITS not in raw.translate(_DIGITS_AS_ZERO)
    )


def _read_exactly(raw: bytes) -> None:
    """Reads the text once more with each object and number checked; raises StrictJsonError."""
    try:
        json.loads(
            raw.decode("utf-8"), object_pairs_hook=_distinct, parse_int=_exact_integer, parse_constant=_no_constant
        )
    except StrictJsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise StrictJsonError("the text isn't valid JSON") from error


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise StrictJsonError("an object has two members with the same name")


def _exact_integer(digits: str) -> int:
    # The length first: converting a very long integer costs quadratic time.
    if len(digits) > 17 or abs(int(digits)) > LARGEST_INTEGER:
        raise StrictJsonError("an integer is larger than 2^53 - 1; send it as a string")
    return 0


def _no_constant(_name: str) -> NoReturn:
    raise StrictJsonError("NaN and Infinity aren't JSON numbers")


def _deeper_than(value: Any, depth: int) -> bool:
    """Whether a container lies inside `depth` others; by level, so that depth costs no stack."""
    level: list[Any] = [value]
    for _ in range(depth):
        containers = [item for item in level if isinstance(item, (dict, list))]
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
    return any(isinstance(item, (dict, list)) for item in level)
