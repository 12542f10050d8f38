"""Fills a template's placeholders with one user's values: pure. Problems name placeholders, never values."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_launcher.templates import Pieces, Placeholder, Template

FILES_FOLDER = "/run/mcp/files"
LARGEST_ARGUMENT = 128 * 1024
"""The kernel's limit of one argument or variable (execve(2), MAX_ARG_STRLEN), its ending NUL included."""


class Unfillable(Exception):
    """The values don't fit the template; one problem a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A template's texts with a user's values in them. `secret_env` are the variables that hold a value."""

    command: tuple[str, ...]
    args: tuple[str, ...]
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    files: Mapping[str, str]


def fill(template: Template, values: Mapping[str, str]) -> Filled:
    """Put the values in: a variable or file that lacks one is left out, a word of the command must have all.

    Raises:
        Unfillable: a value that the template has no place for, a word without its value, or a value that no variable or
            argument can carry.
    """
    problems = [
        f"the template has no place for {name[:200]!r}" for name in sorted(values.keys() - template.placeholders)
    ]
    words = (*template.command, *template.args)
    problems += [f"the command needs {name!r}" for name in sorted(_names(*words) - values.keys())]
    carried = _names(*words, *template.env.values())
    problems += [f"{name!r} has a NUL, which nothing can carry" for name in sorted(values) if "\0" in values[name]]
    problems += [
        f"{name!r} is longer than {LARGEST_ARGUMENT - 1024} bytes, more than a variable or an argument can carry"
        for name in sorted(carried & values.keys())
        if len(values[name].encode("utf-8", "surrogatepass")) > LARGEST_ARGUMENT - 1024
    ]
    problems += [f"{name!r} is not Unicode text" for name in sorted(values) if not _is_unicode(values[name])]
    if problems:
        raise Unfillable(problems)
    files = {key: _text(pieces, values) for key, pieces in template.files.items() if _has_all(pieces, values)}
    left_out = template.files.keys() - files.keys()
    env = {key: each for key, each in template.env.items() if key not in left_out and _has_all(each, values)}
    return Filled(
        command=tuple(_text(word, values) for word in template.command),
        args=tuple(_text(word, values) for word in template.args),
        env={key: _text(each, values) for key, each in env.items() if not _names(each)},
        secret_env={key: _text(each, values) for key, each in env.items() if _names(each)},
        files=files,
    )


def _names(*texts: Pieces) -> frozenset[str]:
    return frozenset(piece.name for pieces in texts for piece in pieces if isinstance(piece, Placeholder))


def _has_all(pieces: Pieces, values: Mapping[str, str]) -> bool:
    return _names(pieces) <= values.keys()


def _text(pieces: Pieces, values: Mapping[str, str]) -> str:
    return "".join(values[piece.name] if isinstance(piece, Placeholder) else piece for piece in pieces)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
