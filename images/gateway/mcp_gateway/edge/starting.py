"""Has the control side start a user's instance: one request for each instance, however many calls wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from mcp_wire.http_client import Pool, UpstreamError

from mcp_gateway.edge.asking import ask
from mcp_gateway.edge.document import DocumentError
from mcp_gateway.edge.instances import Instance, Instances, Key

logger = logging.getLogger(__name__)

START_SECONDS = 660.0
"""The longest start that a stack may allow is 600 s; the control side gives up by itself before this."""
RETRY_SECONDS = 2
MAX_WAITING = 100
"""Calls that may wait for one instance: each holds its body, and a user could send many."""
MESSAGE_LENGTH = 4000

STATUSES = {"values-missing": 403, "unknown": 404, "limit": 429, "start-failed": 502, "unavailable": 503}
"""The HTTP status of each reason why there is no instance."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no instance: a code of `STATUSES`, a text for the user, whole seconds until a new try may help."""

    code: str
    message: str
    retry_seconds: int | None = None
    missing: tuple[str, ...] = ()


AWAY = Refused("unavailable", "The server can't be started just now. Try again in a moment.", RETRY_SECONDS)
FULL = Refused("limit", "Too many calls wait for this server to start. Try again in a moment.", RETRY_SECONDS)

Outcome = Instance | Refused
Told = Callable[[Outcome], None]


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call that waits; without `told` it has left."""

    told: Told | None
    failed: str | None


@dataclass(eq=False, slots=True)
class _Start:
    failed: str | None
    waiting: list[_Waiting] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Starts:
    """The starts under way. A start goes on when those who wait for it leave: the user is likely to come again."""

    def __init__(self, pool: Pool, instances: Instances):
        self._pool = pool
        self._instances = instances
        self._under_way: dict[Key, _Start] = {}

    def ask(self, key: Key, failed: str | None, told: Told) -> Callable[[], None]:
        """Have `told` called with the outcome, never before this returns; what is returned calls that off.

        `failed` is the URL that couldn't be reached.
        """
        waiting = _Waiting(told, failed)
        start = self._under_way.get(key)
        if start is not None and len(start.waiting) >= MAX_WAITING:
            return asyncio.get_running_loop().call_soon(told, FULL).cancel
        self._join(key, waiting)

        def call_off() -> None:
            waiting.told = None
            start = self._under_way.get(key)
            if start is not None and waiting in start.waiting:
                start.waiting.remove(waiting)

        return call_off

    def _join(self, key: Key, waiting: _Waiting) -> None:
        start = self._under_way.get(key)
        if start is None:
            start = self._under_way[key] = _Start(waiting.failed)
            start.task = asyncio.get_running_loop().create_task(self._run(key, start))
        start.waiting.append(waiting)

    async def _run(self, key: Key, start: _Start) -> None:
        outcome: Outcome = AWAY
        try:
            outcome = await self._outcome(key, start.failed)
        except (UpstreamError, TimeoutError) as error:
            logger.warning("start of an instance of %s: %s", key[0], str(error) or "no answer in time")
        except DocumentError as error:
            logger.error("start of an instance of %s: the url %s", key[0], error)
        finally:
            del self._under_way[key]
            for waiting in start.waiting:
                if isinstance(outcome, Instance) and waiting.failed == outcome.url != start.failed:
                    # It joined a start that was asked for before the same instance failed it.
                    self._join(key, waiting)
                elif waiting.told is not None:
                    waiting.told(outcome)

    async def _outcome(self, key: Key, failed: str | None) -> Outcome:
        body = orjson.dumps({"server": key[0], "subject": key[1], "failed": failed})
        status, answer = await ask(
            self._pool, b"POST", b"/internal/instances/start", body, seconds=START_SECONDS, repeatable=True
        )
        read = read_outcome(status, answer)
        return self._instances.started(key, read) if isinstance(read, str) else read


def read_outcome(status: int, answer: bytes) -> str | Refused:
    """The URL or the refusal in an answer of the control side; raises UpstreamError for an answer that is neither."""
    try:
        raw: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        raw = None
    if isinstance(raw, dict):
        url, code, message = raw.get("url"), raw.get("error"), raw.get("message")
        if status == 200 and isinstance(url, str):
            return url
        if status != 200 and code in STATUSES and isinstance(message, str):
            retry, missing = raw.get("retrySeconds"), raw.get("missing")
            seconds = retry if isinstance(retry, (int, float)) and not isinstance(retry, bool) else None
            return Refused(
                code,
                message[:MESSAGE_LENGTH],
                None if seconds is None else max(1, int(min(seconds, 86_400) + 0.999)),
                tuple(name for name in missing if isinstance(name, str)) if isinstance(missing, list) else (),
            )
    raise UpstreamError(f"the control side answered {status} with what is no outcome of a start")
