"""Comparing what is to be sent with what a template says."""

from collections.abc import Mapping

from mcp_launcher.templates import Pieces


def fits(pieces: Pieces, text: str) -> bool:
    """Whether a text is the template's, with anything in the place of each placeholder."""
    parts, last = [], ""
    for piece in pieces:
        if isinstance(piece, str):
            last += piece
        else:
            parts.append(last)
            last = ""
    if not parts:
        return text == last
    if not text.startswith(parts[0]):
        return False
    # The first place is always the best one: what follows has the more room.
    position = len(parts[0])
    for part in parts[1:]:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return text.endswith(last) and len(text) - len(last) >= position


def same(found: object, wanted: object) -> bool:
    """Equality that tells 1 from True, as JSON does."""
    if isinstance(wanted, Mapping):
        return (
            isinstance(found, Mapping)
            and found.keys() == wanted.keys()
            and all(same(found[name], value) for name, value in wanted.items())
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(same(one, other) for one, other in zip(found, wanted, strict=True))
        )
    return type(found) is type(wanted) and found == wanted
