"""What to do with an instance now. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from mcp_gateway.documents.servers import Server
from mcp_gateway.instances.view import RUNNING, Launched

QUIET_SECONDS: Final = 10.0
"""An instance that nobody has used for so long may be replaced: a client that is at work calls more often."""
SETTLE_SECONDS: Final = 6.0
"""From the withdrawal until the stop. A call that began just before it is reported within 5 s, and calls it off."""


class Step(Enum):
    """`FORBIDDEN`, `IDLE` and `UNFIT` are reasons to stop it; unfit is one whose user lacks a value now."""

    KEEP = "keep"
    FORBIDDEN = "its user may not use the server any more"
    IDLE = "nobody used it"
    UNFIT = "a required value is missing"
    REPLACE = "values or template have changed"


def step(instance: Launched, server: Server | None, *, idle: float | None, revision: str | None, missing: bool) -> Step:
    """Decide. `server` is None when its user may not have it; `idle` is None while it is in use, or nobody knows.

    `revision` is that of the values that it would be started with now, None when that isn't known yet.
    """
    if server is None or server.instance is None:
        return Step.FORBIDDEN
    if instance.state != RUNNING or idle is None:
        return Step.KEEP
    if idle >= server.instance.idle_seconds:
        return Step.IDLE
    if idle < QUIET_SECONDS:
        return Step.KEEP
    if missing:
        return Step.UNFIT
    return Step.REPLACE if is_stale(instance, revision) else Step.KEEP


def is_stale(instance: Launched, revision: str | None) -> bool:
    """Whether a start would make another instance than the one that runs."""
    return not instance.template_current or (revision is not None and instance.revision != revision)
