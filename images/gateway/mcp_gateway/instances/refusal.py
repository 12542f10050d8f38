"""Why an instance isn't there, or can't be got at, in words for the user whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

STATUSES: Final = {"values-missing": 403, "unknown": 404, "limit": 429, "start-failed": 502, "unavailable": 503}
"""The HTTP status of each code of a `StartRefused` (docs/contracts.md, section 9)."""


class StartRefused(Exception):
    """There is no instance, and why.

    `code` is one of `STATUSES`. `message` is for the user and holds no value of theirs. `retry_seconds` says when a new
    try may help. `missing` names the required settings without a value; `log` are the last lines of a start that
    failed, masked. `summary` is the message without them and without links, for a page that shows both itself.
    """

    def __init__(
        self,
        code: str,
        message: str,
        retry_seconds: float | None = None,
        missing: Sequence[str] = (),
        log: Sequence[str] = (),
        summary: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_seconds = retry_seconds
        self.missing = tuple(missing)
        self.log = tuple(log)
        self.summary = summary or message


class Unavailable(Exception):
    """The launcher is away, or couldn't do what was asked; the text is for the user."""

    def __init__(self, message: str = "Instances can't be reached just now. Try again in a moment.") -> None:
        super().__init__(message)
        self.message = message
