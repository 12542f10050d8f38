"""What is known of each instance, as the control side is shown it. Plain data; the lock is the owner's."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mcp_launcher.owned import Key, Owned
from mcp_launcher.templates import Templates

State = Literal["starting", "running", "stopping", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One instance. `log` are the last lines of one that failed."""

    state: State
    url: str = ""
    started_at: int = 0
    revision: str = ""
    template: str = ""
    reason: str = ""
    log: tuple[str, ...] = ()
    container: Owned | None = None


def shown(key: Key, entry: Entry, templates: Templates | None) -> dict[str, Any]:
    """Return one instance as the contract has it."""
    template = templates.servers.get(key.server) if templates else None
    return {
        "server": key.server,
        "subject": key.subject,
        "state": entry.state,
        "url": entry.url,
        "startedAt": entry.started_at,
        "revision": entry.revision,
        "templateCurrent": template is not None and template.digest == entry.template,
        "reason": entry.reason,
    }


def listing(entries: Mapping[Key, Entry], data: Collection[Key], templates: Templates | None) -> dict[str, Any]:
    """Return all of them; the version is a digest of the rest, so equal content has an equal version."""
    content = {
        "instances": [shown(key, entry, templates) for key, entry in sorted(entries.items())],
        "data": [{"server": key.server, "subject": key.subject} for key in sorted(data)],
    }
    version = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    return {"version": version, **content}
