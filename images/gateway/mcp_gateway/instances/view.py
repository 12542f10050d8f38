"""Instances as the launcher tells of them, and as pages show them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

STARTING: Final = "starting"
RUNNING: Final = "running"
STOPPING: Final = "stopping"
FAILED: Final = "failed"
STOPPED: Final = "stopped"

Key = tuple[str, str]
"""Server's id and subject."""


class UnexpectedAnswer(Exception):
    """The launcher answered what docs/contracts.md, section 8, doesn't allow."""


@dataclass(frozen=True, slots=True)
class Launched:
    """One instance as the launcher tells of it; `url` is where it is while it runs."""

    key: Key
    state: str
    url: str
    started_at: float
    revision: str
    template_current: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """All instances, and whose volumes there are."""

    version: str
    instances: Mapping[Key, Launched]
    data: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an instance takes now."""

    memory_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class InstanceView:
    """How a user's instance stands.

    `state` is `stopped`, `starting`, `running`, `stopping` or `failed`, then with its `reason`. `stale`: values or
    template have changed since it started. Times are seconds since 1970; `last_used` is None when nothing is known.
    """

    server: str
    subject: str
    state: str
    started_at: float | None
    reason: str
    stale: bool
    has_data: bool
    last_used: float | None


def read_instance(raw: Any) -> Launched:
    """Read one instance.

    Raises:
        UnexpectedAnswer: it isn't one.
    """
    try:
        found = Launched(
            key=(_text(raw["server"]), _text(raw["subject"])),
            state=_text(raw["state"]),
            url=_text(raw["url"] or ""),
            started_at=float(raw["startedAt"] or 0),
            revision=_text(raw["revision"]),
            template_current=raw["templateCurrent"] is True,
            reason=_text(raw["reason"] or ""),
        )
    except (KeyError, TypeError, ValueError):
        raise UnexpectedAnswer("the launcher told of an instance in a way that can't be read") from None
    if found.state == RUNNING and not _is_address(found.url):
        # A name could lead elsewhere, and the edge would refuse the whole table for it.
        raise UnexpectedAnswer(f"the launcher gave an instance of {found.key[0]} no address")
    return found


def read_listing(raw: Any) -> Listing:
    """Read the whole list. Instances that share an address are left out: a call would reach the wrong user's.

    Raises:
        UnexpectedAnswer: it isn't one.
    """
    try:
        instances = {found.key: found for found in map(read_instance, raw["instances"])}
        data = frozenset((_text(each["server"]), _text(each["subject"])) for each in raw["data"])
        return Listing(_text(raw["version"]), without_shared_addresses(instances), data)
    except (KeyError, TypeError):
        raise UnexpectedAnswer("the launcher's list can't be read") from None


def without_shared_addresses(instances: Mapping[Key, Launched]) -> dict[Key, Launched]:
    """The instances whose address no other has."""
    holders: dict[str, int] = {}
    for each in instances.values():
        if each.state == RUNNING:
            holders[place(each.url)] = holders.get(place(each.url), 0) + 1
    return {key: each for key, each in instances.items() if each.state != RUNNING or holders[place(each.url)] == 1}


def read_usage(raw: Any) -> dict[Key, Usage]:
    """Read what each instance takes.

    Raises:
        UnexpectedAnswer: it isn't that.
    """
    try:
        return {
            (_text(each["server"]), _text(each["subject"])): Usage(int(each["memoryBytes"]), int(each["processes"]))
            for each in raw["usage"]
        }
    except (KeyError, TypeError, ValueError):
        raise UnexpectedAnswer("the launcher's usage can't be read") from None


def place(url: str) -> str:
    """Where a URL leads: host and port."""
    return urlsplit(url).netloc


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        ipaddress.ip_address(parts.hostname or "")
        return parts.scheme == "http" and (parts.port or 0) > 0 and "@" not in parts.netloc
    except ValueError:
        return False
