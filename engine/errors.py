"""The one error that the engine shows to its user."""

from __future__ import annotations


class EngineError(Exception):
    """Something is missing or failed. The message says what, `remedy` says what the user can do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
