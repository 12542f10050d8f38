"""JSON read without leniency: what two readers could read differently is refused."""

import json
from typing import Any, NoReturn


class InvalidJson(ValueError):
    """The text is no JSON, or ambiguous; the message says why and never quotes a value."""


def read(content: bytes) -> Any:
    """Return the value of a UTF-8 JSON text.

    Raises:
        InvalidJson: no JSON, a key that stands twice in one object, a number that JSON doesn't have, or nesting without
            end.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise InvalidJson("is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise InvalidJson(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise InvalidJson("is nested too deeply") from None
    except InvalidJson:
        raise
    except ValueError:
        raise InvalidJson("has a number that can't be read") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidJson(f"has the key {twice[:100]!r} twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise InvalidJson(f"has {name}, which is no number of JSON's")
