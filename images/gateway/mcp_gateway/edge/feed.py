"""Keeps fresh what the control side tells the edge: long polls, whose silence changes nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Protocol
from urllib.parse import quote

import orjson
from mcp_wire.http_client import Pool, Target, UpstreamError

from mcp_gateway.edge.asking import ask
from mcp_gateway.edge.document import DocumentError

logger = logging.getLogger(__name__)

HOLD_SECONDS = 40.0
"""The control side holds a poll for up to 25 s."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class Kept(Protocol):
    """What a feed keeps fresh. `asked` is the monotonic time at which the poll was sent."""

    def take(self, raw: Any, asked: float) -> str:
        """Put a new version in force and give its name; raises DocumentError and leaves the old one in force."""

    def unchanged(self, asked: float) -> None:
        """Know that what is in force was the newest version at some time after `asked`."""


async def follow(control: str, path: str, name: str, kept: Kept) -> None:
    """Fetch versions of `path` from the socket `control` for ever; `name` is what logs call it.

    An invalid version leaves the one in force as it is and is reported once; so is a control side that is away.
    """
    pool = Pool(Target("control", path=control), idle_seconds=60)
    version, failures, told = "", 0, ""
    while True:
        try:
            asked = time.monotonic()
            target = f"{path}?after={quote(version, safe='')}".encode()
            status, body = await ask(pool, b"GET", target, seconds=HOLD_SECONDS, repeatable=True)
            if status == 200:
                version, told = _take(body, asked, name, kept, told)
            elif status == 204:
                kept.unchanged(asked)
            else:
                raise UpstreamError(f"the control side answered {status}")
            failures = 0
        except (UpstreamError, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            if reason != told:
                logger.warning("%s: %s; the one in force stays", name, reason)
            told = reason
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1


def _take(body: bytes, asked: float, name: str, kept: Kept, told: str) -> tuple[str, str]:
    """Put a version in force; the version to ask for changes after, and what was reported."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamError("the control side sent no JSON") from error
    try:
        return kept.take(raw, asked), ""
    except DocumentError as error:
        if (reason := str(error)) != told:
            logger.error("%s refused, the one in force stays: %s", name, reason)
        refused = raw.get("version") if isinstance(raw, dict) else None
        if not isinstance(refused, str) or not refused:
            raise UpstreamError(f"the {name} has no version") from error
        return refused, reason
