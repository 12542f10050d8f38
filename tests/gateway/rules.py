"""Names the authorization rules that a test proves, so that each rule's tests can be listed (`pytest -m rule`)."""

from __future__ import annotations

import pytest


def rule(*numbers: int) -> pytest.MarkDecorator:
    """A marker that carries the numbers of the rules a test proves."""
    return pytest.mark.rule(*numbers)
