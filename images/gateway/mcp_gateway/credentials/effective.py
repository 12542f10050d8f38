"""Which values a user's calls and instance get: what the stack declares above what the user gave. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_gateway.documents.servers import Server
from mcp_gateway.documents.user_settings import UserSetting, value_problem, with_prefix


@dataclass(frozen=True, slots=True)
class Effective:
    """A user's values for one server, by key.

    `values` are final, with the prefix in front, and never empty. `missing` are the required settings without one.
    `declared` are the keys that the stack set, which the user can't. `refused` says of a value that the user gave what
    is wrong with it now: its setting has changed since, and it counts as not given.
    """

    values: Mapping[str, str] = field(repr=False)
    missing: tuple[UserSetting, ...]
    declared: frozenset[str]
    refused: Mapping[str, str]


def effective(server: Server, login: str, given: Mapping[str, str]) -> Effective:
    """Join what the stack declares for this login with what the user gave."""
    stack = {key: value for key, value in server.user_values.get(login, {}).items() if value}
    values, refused = {}, {}
    for setting in server.user_settings:
        value = stack.get(setting.key) or given.get(setting.key, "")
        if not value:
            continue
        if problem := problems(setting, value):
            refused[setting.key] = problem
        else:
            values[setting.key] = with_prefix(setting, value)
    return Effective(
        values=values,
        missing=tuple(each for each in server.user_settings if each.required and each.key not in values),
        declared=frozenset(each.key for each in server.user_settings if each.key in stack),
        refused=refused,
    )


def problems(setting: UserSetting, value: str) -> str | None:
    """What is wrong with a value before it is kept, or None: its options, its size, what its usage can't carry.

    The value is as the user gave it, without the prefix. The text never quotes it and goes on after the setting's name.
    """
    return value_problem(setting, value)
