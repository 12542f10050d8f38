"""What can go wrong with a request, as the control side is told (docs/contracts.md, section 8)."""

from collections.abc import Sequence
from typing import Any

STATUSES = {
    "bad-request": 422,
    "unknown-server": 404,
    "limit-user": 429,
    "limit-total": 429,
    "start-failed": 502,
    "back-off": 503,
    "engine": 503,
}


class Failure(Exception):
    """A refusal or a failure with its code, one of `STATUSES`. It holds no value of a user's, but an instance's log."""

    def __init__(self, code: str, message: str, *, retry_seconds: float | None = None, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_seconds = retry_seconds
        self.log = tuple(log)

    @property
    def status(self) -> int:
        """The answer's HTTP status."""
        return STATUSES[self.code]

    @property
    def answer(self) -> dict[str, Any]:
        """The answer's body."""
        return {
            "error": self.code,
            "message": self.message,
            "retrySeconds": self.retry_seconds,
            "log": list(self.log),
        }
