"""Log lines: one JSON object a line on standard output."""

from __future__ import annotations

import json
import logging
import sys
import time

LINE_BYTES = 8192
"""Longer texts of a child's standard error are cut here."""


def log(level: str, text: str, session: str = "") -> None:
    """Write one line; `session` is a short name that can't be used as a session id."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    entry = {"time": stamp, "level": level, "session": session, "text": text}
    sys.stdout.write(json.dumps(entry, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class Handler(logging.Handler):
    """Carries records of the libraries into the same format."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its traceback where there is one."""
        log(record.levelname.lower(), self.format(record)[:LINE_BYTES])
