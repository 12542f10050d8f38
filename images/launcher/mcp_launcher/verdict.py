"""What a look at one key calls for: pure."""

from collections.abc import Collection
from typing import Literal

from mcp_launcher.failure import Failure
from mcp_launcher.inventory import Held
from mcp_launcher.owned import INSTANCE, Key, Owned
from mcp_launcher.table import Entry
from mcp_launcher.templates import Template, Templates

Verdict = Literal["stop", "clean", "adopt", "gone", "forget", "leave"]


def verdict(held: Held, entry: Entry | None, template: Template | None, exports: Collection[str]) -> Verdict:
    """Return what to do: `stop` what has no template, `clean` away what no longer runs, `adopt` what runs and isn't
    known, say that it is `gone`, `forget` it, or `leave` it.

    `exports` are names of containers that an export uses.
    """
    left = [owned for owned, _ in held.containers if owned.name not in exports]
    if template is None:
        if left or held.networks:
            return "stop"
        return "forget" if entry else "leave"
    if held.runs and held.instance is not None:
        known = entry.container.id if entry and entry.state == "running" and entry.container else ""
        return "leave" if known == held.instance[0].id else "adopt"
    if left or held.networks:
        return "clean"
    return "gone" if entry is not None and entry.state != "failed" else "leave"


def helpers(held: Held, exports: Collection[str]) -> list[Owned]:
    """Return the containers that stand beside an instance only while something is done to it."""
    return [
        owned
        for owned, _ in held.containers
        if owned.role != INSTANCE and not owned.name.endswith("-delivery") and owned.name not in exports
    ]


def beyond_limits(key: Key, counted: Collection[Key], templates: Templates) -> Failure | None:
    """Return why one more instance may not be started; `counted` are those that there are."""
    if sum(other.subject == key.subject for other in counted) >= templates.per_user:
        return Failure("limit-user", f"{templates.per_user} instances run already, as many as one user may have")
    if len(counted) >= templates.total:
        return Failure("limit-total", f"{templates.total} instances run already, as many as the stack may have")
    return None
