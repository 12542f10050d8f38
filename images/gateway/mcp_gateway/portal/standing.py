"""How a server stands for a user, in words: its kind, the state of the user's own instance, what is missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_gateway.documents.servers import MULTI_USER, REMOTE, SINGLE_USER, Server
from mcp_gateway.documents.user_settings import UserSetting
from mcp_gateway.instances.service import InstanceView
from mcp_gateway.portal.background import Refusal

KINDS: Final = {SINGLE_USER: "Your own instance", MULTI_USER: "Shared", REMOTE: "Elsewhere"}

STATES: Final = {
    "stopped": "Stopped",
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "failed": "Failed",
}

_KIND_TEXTS: Final = {
    SINGLE_USER: "It runs for you alone, with your values and your data.",
    MULTI_USER: "One server for everyone who may use it.",
    REMOTE: "Others run it; the gateway passes your calls on.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server stands for a user.

    `state` is `ready` for a server without instances, else one of STATES; `since` are seconds since 1970, None when
    that says nothing; `log` are the last lines of a start that failed.
    """

    state: str
    text: str
    since: int | None
    reason: str
    log: tuple[str, ...]
    missing: tuple[UserSetting, ...]
    stale: bool
    has_data: bool
    kind: str
    kind_text: str

    @property
    def moving(self) -> bool:
        """Whether it is about to change by itself."""
        return self.state in {"starting", "stopping"}

    @property
    def needs(self) -> str:
        """What is missing, as the beginning of a sentence, or the empty string."""
        return f"Needs your {enumeration([setting.name for setting in self.missing])}" if self.missing else ""


def standing(
    server: Server,
    view: InstanceView | None,
    missing: tuple[UserSetting, ...],
    refusal: Refusal | None = None,
) -> Standing:
    """How a server stands; `view` is None for one without instances."""
    state, reason = "ready", ""
    since: int | None = None
    log: tuple[str, ...] = ()
    if view is not None:
        state = view.state
        if state == "running" and view.started_at:
            since = int(view.started_at)
        if state == "failed":
            reason = view.reason
        if refusal is not None and state in {"stopped", "failed"}:
            state, reason, log = "failed", refusal.message, refusal.log
    return Standing(
        state=state,
        text=STATES.get(state, "Ready"),
        since=since,
        reason=reason,
        log=log,
        missing=missing,
        stale=bool(view and view.stale and state == "running"),
        has_data=bool(view and view.has_data),
        kind=KINDS[server.kind],
        kind_text=_KIND_TEXTS[server.kind],
    )


def enumeration(names: Sequence[str]) -> str:
    """Names as a sentence has them: `a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
