"""Reads what the control side asks for: strictly, with every problem at once, and no value in any message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from mcp_launcher import strict_json
from mcp_launcher.failure import Failure
from mcp_launcher.fields import Fields, Problems
from mcp_launcher.owned import REVISION, SERVER_ID, SUBJECT, Key

LARGEST_BODY = 2 * 1024 * 1024
MOST_LINES = 10_000
_PLACEHOLDER = re.compile(r"(?:user|secret):[^\x00-\x1f\x7f]{1,200}")
_VERSION = re.compile(r"[0-9a-f]{1,64}")
_MOST_VALUES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAsked:
    """The body of `POST /instances/start`."""

    key: Key
    values: Mapping[str, str]
    revision: str
    replace: bool
    force: bool


def start(content: bytes) -> StartAsked:
    """Read the body of a start.

    Raises:
        Failure: `bad-request`, with every problem.
    """
    fields, problems = _body(content)
    found = StartAsked(
        key=_key(fields),
        values=fields.mapping(
            "values", _MOST_VALUES, _PLACEHOLDER, "a placeholder", lambda value, path: _value(value, path, problems)
        ),
        revision=fields.text("revision", REVISION, "at most 64 hexadecimal digits"),
        replace=fields.flag("replace"),
        force=fields.flag("force"),
    )
    _finish(fields, problems)
    return found


def stop(content: bytes) -> Key:
    """Read the body of a stop."""
    fields, problems = _body(content)
    found = _key(fields)
    _finish(fields, problems)
    return found


def listing(query: str) -> str | None:
    """Read the query of the list: the version that is known."""
    found = _query(query, frozenset({"after"}))
    after = found.get("after") or None
    if after is not None and not _VERSION.fullmatch(after):
        raise Failure("bad-request", "after: want a version that the list gave")
    return after


def log(query: str) -> tuple[Key, int, bool]:
    """Read the query of a log: whose, how many lines, and whether to follow."""
    found = _query(query, frozenset({"server", "subject", "lines", "follow"}))
    count, follow = found.get("lines", "200"), found.get("follow", "0")
    problems = []
    if not re.fullmatch(r"[1-9][0-9]{0,4}", count) or int(count) > MOST_LINES:
        problems.append(f"lines: want a whole number from 1 to {MOST_LINES}")
    if follow not in ("0", "1"):
        problems.append("follow: want 0 or 1")
    if problems:
        raise Failure("bad-request", "; ".join(problems))
    return _query_key(found), int(count), follow == "1"


def data(query: str) -> Key:
    """Read the query that names an instance."""
    return _query_key(_query(query, frozenset({"server", "subject"})))


def nothing(query: str) -> None:
    """Read a query that must be empty."""
    _query(query, frozenset())


def _body(content: bytes) -> tuple[Fields, Problems]:
    try:
        raw = strict_json.read(content)
    except strict_json.InvalidJson as error:
        raise Failure("bad-request", f"the body {error}") from None
    problems = Problems()
    return Fields(raw, "", problems), problems


def _finish(fields: Fields, problems: Problems) -> None:
    fields.end()
    if problems.lines:
        raise Failure("bad-request", "; ".join(problems.lines))


def _key(fields: Fields) -> Key:
    server = fields.text("server", SERVER_ID, "a server's id")
    return Key(server, fields.text("subject", SUBJECT, "a subject"))


def _value(value: Any, path: str, problems: Problems) -> str:
    if isinstance(value, str):
        return value
    problems.add(path, "want a text")
    return ""


def _query(query: str, allowed: frozenset[str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=10)
    except ValueError:
        if not query:
            return {}
        raise Failure("bad-request", "the query can't be read") from None
    found = dict(pairs)
    if len(found) != len(pairs) or not found.keys() <= allowed:
        raise Failure("bad-request", f"the query may have these, once each: {', '.join(sorted(allowed)) or 'nothing'}")
    return found


def _query_key(found: Mapping[str, str]) -> Key:
    server, subject = found.get("server", ""), found.get("subject", "")
    problems = []
    if not SERVER_ID.fullmatch(server):
        problems.append("server: want a server's id")
    if not SUBJECT.fullmatch(subject):
        problems.append("subject: want a subject")
    if problems:
        raise Failure("bad-request", "; ".join(problems))
    return Key(server, subject)
