"""Audit lines of the control side: one JSON object a line, never with a secret, a token or a code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO


@dataclass
class AuditLog:
    """Writes audit events to a stream as they happen."""

    clock: Callable[[], float]
    stream: TextIO | None = None

    def record(self, event: str, **details: str | int | bool | None) -> None:
        """Write one event, such as `sign-in`, with its details; those that are None are left out."""
        line = {
            "time": datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds"),
            "log": "audit",
            "event": event,
            **{name: value for name, value in details.items() if value is not None},
        }
        # json escapes control characters, so that a name chosen by a stranger can't forge a line.
        print(json.dumps(line), file=self.stream or sys.stdout, flush=True)
