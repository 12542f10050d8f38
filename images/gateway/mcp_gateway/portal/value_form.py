"""The form for what a user gives to a server: what it shows, and what a submitted one changes. Pure.

A sensitive value is never part of it: of one that is kept it says since when, and it can be replaced or removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.credentials.effective import Effective, problems
from mcp_gateway.documents.servers import Server
from mcp_gateway.documents.user_settings import FILE, UserSetting

LONGEST_FILE: Final = 32 * 1024
"""Bytes of a file given in the portal: a form has at most 64 KiB, and letters other than a-z take more than one."""

VALUE: Final = "value:"
REMOVE: Final = "remove:"


@dataclass(frozen=True, slots=True)
class ValueField:
    """One setting as the page shows it.

    `kind` is `declared`, `select`, `file`, `secret` or `text`; `shown` is what stands in the field and empty for a
    sensitive one; `given_at` are seconds since 1970.
    """

    id: str
    setting: UserSetting
    kind: str
    given_at: int | None
    shown: str = field(repr=False)
    error: str

    @property
    def replaces(self) -> bool:
        """Whether leaving the field empty keeps a value that isn't shown."""
        return self.setting.sensitive and self.given_at is not None


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a form asks for: `changes` by key (None removes), or what is wrong with it by key.

    `typed` is what was typed into the fields that aren't sensitive, to be shown again beside an error.
    """

    changes: Mapping[str, str | None] = field(repr=False)
    errors: Mapping[str, str]
    typed: Mapping[str, str] = field(repr=False)


def value_fields(
    server: Server,
    effective: Effective,
    given: Mapping[str, str],
    given_at: Mapping[str, int],
    submitted: Submitted | None = None,
) -> list[ValueField]:
    """The fields of a server's form, in the order of its settings."""
    errors = dict(submitted.errors) if submitted else {key: _outdated(text) for key, text in effective.refused.items()}
    typed = submitted.typed if submitted else {}
    fields = []
    for index, setting in enumerate(server.user_settings):
        key, declared = setting.key, setting.key in effective.declared
        fields.append(
            ValueField(
                id=f"value-{index}",
                setting=setting,
                kind="declared" if declared else _kind(setting),
                given_at=None if declared else given_at.get(key),
                shown="" if declared or setting.sensitive else typed.get(key, given.get(key, "")),
                error="" if declared else errors.get(key, ""),
            )
        )
    return fields


def read_values(
    server: Server, declared: frozenset[str], given: Mapping[str, str], kept: frozenset[str], form: Parameters
) -> Submitted:
    """What a submitted form changes; `kept` are the keys that have a value now. Nothing is changed unless all is well.

    A key that the stack declares, or that no setting has, is passed over: neither is in the form.
    """
    changes: dict[str, str | None] = {}
    errors, typed = {}, {}
    sent = {name for name, _ in form.pairs}
    for setting in server.user_settings:
        key = setting.key
        if key in declared or not sent & {VALUE + key, REMOVE + key}:
            continue
        value = _normal(setting, form.get(VALUE + key))
        if not setting.sensitive:
            typed[key] = value
        if value:
            if problem := _problem(setting, value):
                errors[key] = problem
            elif setting.sensitive or given.get(key) != value:
                changes[key] = value
        elif form.get(REMOVE + key):
            if key in kept:
                changes[key] = None
        elif setting.sensitive and key in kept:
            continue
        elif setting.required:
            errors[key] = "Choose one." if setting.options else "Fill this in: the server doesn't work without it."
        elif key in kept:
            changes[key] = None
    return Submitted({} if errors else changes, errors, typed)


def _kind(setting: UserSetting) -> str:
    if setting.options:
        return "select"
    if setting.usage == FILE:
        return "file"
    return "secret" if setting.sensitive else "text"


def _normal(setting: UserSetting, value: str) -> str:
    # Browsers send line breaks of a text area as CR LF, and what is pasted often brings blanks around it.
    if setting.options:
        return value
    return value.replace("\r\n", "\n") if setting.usage == FILE else value.strip()


def _problem(setting: UserSetting, value: str) -> str | None:
    if setting.usage == FILE and len(value.encode(errors="replace")) > LONGEST_FILE:
        return (
            f"This is longer than {LONGEST_FILE // 1024} KiB, the most that can be given here. "
            "Your administrator can set a longer one in the stack."
        )
    problem = problems(setting, value)
    return f"This {problem}." if problem else None


def _outdated(problem: str) -> str:
    return f"What was given doesn't fit any more: it {problem}. Give it anew."
