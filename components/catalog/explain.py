"""Reads plain data into a model and says in the reader's words what doesn't fit.

What can't be read is closed in the report and left out, and the rest is read all the same, so that the rules between
the fields can be checked in the same run.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from components.catalog.parse import Path
from components.catalog.report import Report

M = TypeVar("M", bound=BaseModel)

_TAGS = frozenset({"text", "object", "str", "int", "float"})
"""What pydantic puts into a location for the branches of a union."""
_ROUNDS = 20


def read_model(data: object, model: type[M], report: Report) -> M | None:
    """Return the model, without the fields that went to the report; None when nothing sensible is left."""
    rest = copy.deepcopy(data)
    seen: set[Path] = set()
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(rest)
        except ValidationError as error:
            lost = False
            for details in error.errors(include_url=False):
                path = _path(details["loc"], rest)
                known = any(path[: len(other)] == other for other in seen)
                if not known:
                    seen.add(path)
                    wrong, remedy = _words(details)
                    report.add(path, wrong, remedy, _value(details))
                    report.close(path)
                gone = _prune(rest, path[:-1] if details["type"] == "missing" else path)
                if gone is None:
                    lost = True
                else:
                    report.close(gone)
            if lost:
                return None
    return None


def _path(location: tuple[int | str, ...], data: object) -> Path:
    path: list[str | int] = []
    here: Any = data
    for part in location:
        if isinstance(here, dict):
            if part in here or part not in _TAGS:
                path.append(part)
                here = here.get(part)
        elif isinstance(here, list):
            if isinstance(part, int):
                path.append(part)
                here = here[part] if part < len(here) else None
        else:
            break
    return tuple(path)


def _prune(data: object, path: Path) -> Path | None:
    """Take the field out, or the whole list that it is an item of; return what was taken, None when all is gone."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    if not path:
        return None
    here: Any = data
    for part in path[:-1]:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            return path
    if isinstance(here, dict):
        here.pop(path[-1], None)
    return path


def _value(details: ErrorDetails) -> object:
    value = details["input"]
    return value if details["type"] != "missing" and isinstance(value, (str, int, float, bool)) else None


def _words(details: ErrorDetails) -> tuple[str, str]:
    """Say what is wrong, and the remedy."""
    kind, context = details["type"], details.get("ctx", {})
    match kind:
        case "missing":
            return "is missing", "add it"
        case "string_type":
            return "is not a text", "write a text, in quotes if it looks like a number, true or null"
        case "bool_type" | "bool_parsing":
            return "is neither true nor false", "write true or false"
        case "int_type" | "int_from_float" | "int_parsing" | "float_type":
            return "is not a whole number", "write a number without quotes"
        case "tuple_type" | "list_type":
            return "is not a list", "write a list"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "is not a mapping", "write `field: value` lines"
        case "literal_error":
            expected = str(context["expected"]).replace("'' or ", "").replace("'', ", "").replace("'", "")
            return "is not one of the allowed values", f"write {expected}"
        case "greater_than_equal":
            return f"is less than {context['ge']}", f"write {context['ge']} or more"
        case "less_than_equal":
            return f"is more than {context['le']}", f"write {context['le']} or less"
        case "string_too_short":
            return "is too short", f"write at least {context['min_length']} characters"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters", "shorten it"
        case "string_pattern_mismatch":
            return f"does not fit the pattern {context['pattern']}", "write it in that form"
        case "union_tag_not_found":
            return "is of a kind that is not read here", "write a text (in quotes) or a mapping; see docs/reference"
        case "value_error":
            return str(context.get("error") or details["msg"]), "see docs/reference/stack.md"
        case _:
            return f"can't be read ({details['msg'][:1].lower()}{details['msg'][1:]})", "see docs/reference"
