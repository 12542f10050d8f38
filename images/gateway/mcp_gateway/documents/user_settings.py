"""A server's user settings in the gateway document, and which values they take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mcp_gateway.documents.fields import Fields

HEADER: Final = "header"
ENV: Final = "env"
FILE: Final = "file"

LONGEST_BYTES: Final = {HEADER: 16384, ENV: 100_000, FILE: 262_144}
"""The most that a value, its prefix in front, may have for each usage, in bytes of UTF-8.

A variable shares the kernel's 128 KiB (execve(2), MAX_ARG_STRLEN) with its name and what stands around it.
"""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_CONNECTION_HEADERS: Final = frozenset(
    [
        "host",
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "accept",
        "cookie",
    ]
)


@dataclass(frozen=True, slots=True)
class Option:
    """One of the values that a setting takes."""

    name: str
    value: str
    description: str


@dataclass(frozen=True, slots=True)
class UserSetting:
    """A value that each user supplies for a server: sent as a header, or given to the user's instance.

    `usage` is `header`, `env` or `file`; `options` empty takes any text.
    """

    key: str
    usage: str
    name: str
    description: str
    required: bool
    sensitive: bool
    prefix: str
    options: tuple[Option, ...]


def may_be_set(header: str) -> bool:
    """Whether this is a header's name, and not one that belongs to the connection or the message."""
    return _HEADER_NAME.fullmatch(header) is not None and header.lower() not in _CONNECTION_HEADERS


def with_prefix(setting: UserSetting, value: str) -> str:
    """The value with the setting's prefix in front, unless it is empty or begins with it."""
    return value if not value or value.startswith(setting.prefix) else setting.prefix + value


def value_problem(setting: UserSetting, value: str) -> str | None:
    """What is wrong with a value as it was given (without its prefix), or None. Never quotes it; empty is no value."""
    if not value:
        return None
    if setting.options and value not in {option.value for option in setting.options}:
        return f"must be one of {', '.join(option.value for option in setting.options)}"
    final = with_prefix(setting, value)
    try:
        size = len(final.encode())
    except UnicodeEncodeError:
        return "is not valid text"
    if size > LONGEST_BYTES[setting.usage]:
        return f"is longer than {LONGEST_BYTES[setting.usage]} bytes"
    if setting.usage != HEADER:
        return "contains the character NUL" if "\x00" in final else None
    if not _HEADER_VALUE.fullmatch(final):
        return "has a character that a header can't carry"
    return "must not begin or end with a blank" if final != final.strip() else None


def user_setting(fields: Fields, usages: tuple[str, ...]) -> UserSetting:
    """Read one setting of a server that knows these usages."""
    setting = UserSetting(
        key=fields.text("key", longest=200),
        usage=fields.choice("usage", usages),
        name=fields.text("name", longest=200),
        description=fields.text("description", longest=20000, empty=True),
        required=fields.flag("required"),
        sensitive=fields.flag("sensitive"),
        prefix=fields.text("prefix", longest=200, empty=True),
        options=tuple(_option(option) for option in fields.children("options")),
    )
    if setting.usage == HEADER and setting.key and not may_be_set(setting.key):
        fields.problem("key", "is not a header that may be set")
    if setting.usage == HEADER and setting.prefix != setting.prefix.lstrip():
        fields.problem("prefix", "must not begin with a blank: no header can")
    if setting.usage in {ENV, FILE} and setting.key and not _VARIABLE_NAME.fullmatch(setting.key):
        fields.problem("key", "is not a variable's name: letters, digits and _ only, no digit first")
    if setting.usage in usages:
        for index, option in enumerate(setting.options):
            if problem := value_problem(setting, option.value):
                fields.problem(f"options[{index}].value", problem)
    fields.done()
    return setting


def _option(fields: Fields) -> Option:
    option = Option(
        name=fields.text("name", longest=200, empty=True),
        value=fields.text("value", longest=16384),
        description=fields.text("description", longest=20000, empty=True),
    )
    fields.done()
    return option
