"""The servers of the gateway document: where each is, who may use it, what it asks of its users."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from mcp_gateway.documents.fields import Fields
from mcp_gateway.documents.user_settings import (
    ENV,
    FILE,
    HEADER,
    UserSetting,
    may_be_set,
    user_setting,
    value_problem,
)
from mcp_gateway.documents.users import User

MULTI_USER: Final = "multiUser"
SINGLE_USER: Final = "singleUser"
REMOTE: Final = "remote"

_ID = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_SECRET = re.compile(r"secret:.{1,200}")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a server."""

    everyone: bool
    users: frozenset[str]
    groups: frozenset[str]

    def admits(self, user: User) -> bool:
        """Whether this user may use the server."""
        return self.everyone or user.login in self.users or not self.groups.isdisjoint(user.groups)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the edge finds the server, and the headers that it adds."""

    url: str
    reach: str
    headers: Mapping[str, str] = field(repr=False)
    ca_file: str | None


@dataclass(frozen=True, slots=True)
class InstanceTerms:
    """How the instances of a single-user server live. Times are in seconds.

    `volume` says whether each has data of its own; `secrets` are the stack's values for the placeholders
    `secret:<name>` of the server's template.
    """

    idle_seconds: int
    start_seconds: int
    volume: bool
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call, and one minute of calls, may take."""

    request_bytes: int
    calls_per_minute: int
    answer_seconds: int


@dataclass(frozen=True, slots=True)
class Server:
    """One server behind the gateway.

    `upstream` is None for a single-user server, `instance` for every other. `user_values` are what the stack declares
    for a login, without prefix.
    """

    id: str
    name: str
    description: str
    icon: str
    kind: str
    path: str
    upstream: Upstream | None
    instance: InstanceTerms | None
    user_values: Mapping[str, Mapping[str, str]] = field(repr=False)
    user_settings: tuple[UserSetting, ...]
    access: Access
    tools_allowed: tuple[str, ...] | None
    limits: Limits


def declared_server(fields: Fields) -> Server:
    """Read one server."""
    kind = fields.choice("kind", (MULTI_USER, SINGLE_USER, REMOTE))
    usages = (HEADER, ENV, FILE) if kind == SINGLE_USER else (HEADER,)
    settings = tuple(user_setting(setting, usages) for setting in fields.children("userSettings"))
    server = Server(
        id=fields.text("id", longest=63),
        name=fields.text("name", longest=200),
        description=fields.text("description", longest=20000, empty=True),
        icon=fields.text("icon", longest=20000, empty=True),
        kind=kind,
        path=fields.text("path"),
        upstream=_upstream(fields, kind),
        instance=_instance(fields, kind),
        user_values=_user_values(fields, settings),
        user_settings=settings,
        access=_access(fields.child("access")),
        tools_allowed=_tools(fields.child("tools")),
        limits=_limits(fields.child("limits")),
    )
    if server.id and not _ID.fullmatch(server.id):
        fields.problem(
            "id", "must be lower-case letters, digits and . _ - only, and begin and end with a letter or digit"
        )
    if server.path != f"/mcp-connect/{server.id}":
        fields.problem("path", "must be /mcp-connect/ followed by the server's id")
    # Headers don't differ by case, and a value names its setting by the key alone.
    keys = [setting.key.casefold() if setting.usage == HEADER else setting.key for setting in settings]
    unique(fields.problems, f"{fields.path}.userSettings", "key", keys)
    fields.done()
    return server


def unique(problems: list[str], part: str, name: str, values: Sequence[str]) -> None:
    """Report each value of a list's field that an earlier item has too."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            problems.append(f"{part}[{index}].{name}: is given twice")
        seen.add(value)


def _upstream(fields: Fields, kind: str) -> Upstream | None:
    if kind == SINGLE_USER:
        fields.null("upstream", "each user has an instance of their own")
        return None
    inner = fields.child("upstream")
    upstream = Upstream(
        url=inner.text("url"),
        reach=inner.choice("reach", ("private", "public", "allowed")),
        headers=_headers(inner, inner.strings("headers")),
        ca_file=inner.optional_text("caFile"),
    )
    if upstream.url and not _http_url(upstream.url):
        inner.problem("url", "must be an http or https URL without a user name or a fragment")
    inner.done()
    return upstream


def _http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and (parts.port or 1) > 0
            and "@" not in parts.netloc
            and "#" not in url
        )
    except ValueError:
        return False


def _headers(fields: Fields, headers: dict[str, str]) -> dict[str, str]:
    for header, value in headers.items():
        if not may_be_set(header):
            fields.problem(f"headers.{header}", "is not a header that may be set")
        if not all(character == "\t" or (32 <= ord(character) <= 255 and ord(character) != 127) for character in value):
            fields.problem(f"headers.{header}", "has a character that a header can't carry")
    return headers


def _instance(fields: Fields, kind: str) -> InstanceTerms | None:
    if kind != SINGLE_USER:
        fields.null("instance", "only a singleUser server has instances")
        return None
    inner = fields.child("instance")
    terms = InstanceTerms(
        idle_seconds=inner.number("idleSeconds", 1, 604_800),
        # The edge gives a start up after 660 s.
        start_seconds=inner.number("startSeconds", 1, 600),
        volume=inner.flag("volume"),
        secrets=inner.strings("secrets"),
    )
    for name, value in terms.secrets.items():
        if not _SECRET.fullmatch(name):
            inner.problem(f"secrets.{name}", "must be named secret:<name>")
        if "\x00" in value:
            inner.problem(f"secrets.{name}", "contains the character NUL")
    inner.done()
    return terms


def _user_values(fields: Fields, settings: Sequence[UserSetting]) -> dict[str, dict[str, str]]:
    by_key = {setting.key: setting for setting in settings if setting.usage in {HEADER, ENV, FILE}}
    found: dict[str, dict[str, str]] = {}
    for login, user in fields.named_children("userValues"):
        found[login] = {}
        for key, value in user.raw.items():
            setting = by_key.get(key)
            if setting is None:
                user.problem(key, "is not among the server's userSettings")
            elif not isinstance(value, str):
                user.problem(key, "must be a string")
            elif not value:
                user.problem(key, "must not be empty")
            elif problem := value_problem(setting, value):
                user.problem(key, problem)
            else:
                found[login][key] = value
    return found


def _access(fields: Fields) -> Access:
    access = Access(
        everyone=fields.flag("everyone"),
        users=frozenset(fields.texts("users")),
        groups=frozenset(fields.texts("groups")),
    )
    fields.done()
    return access


def _tools(fields: Fields) -> tuple[str, ...] | None:
    allowed = fields.optional_texts("allowed")
    fields.done()
    return allowed


def _limits(fields: Fields) -> Limits:
    limits = Limits(
        request_bytes=fields.number("requestBytes", 1024, 1 << 30),
        calls_per_minute=fields.number("callsPerMinute", 1, 10_000_000),
        answer_seconds=fields.number("answerSeconds", 1, 86400),
    )
    fields.done()
    return limits
