"""Keeps the edge document fresh: a long poll of the control side, whose silence changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote

import orjson
from mcp_wire.http_client import Pool, Target, UpstreamError, request_head

from mcp_gateway.edge.document import Document, DocumentError, document

logger = logging.getLogger(__name__)

HOLD_SECONDS = 40.0
"""The control side holds a poll for up to 25 s."""
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
MAX_BYTES = 256 * 1024 * 1024


class _Whole:
    """Collects an answer: status and body."""

    def __init__(self) -> None:
        self.future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._body = bytearray()

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._status = status

    def on_data(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > MAX_BYTES and not self.future.done():
            self.future.set_exception(UpstreamError("the edge document is too long"))

    def on_read_end(self) -> None:
        pass

    def on_end(self) -> None:
        if not self.future.done():
            self.future.set_result((self._status, bytes(self._body)))

    def on_failure(self, error: UpstreamError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


async def follow(control: str, put_in_force: Callable[[Document], None]) -> None:
    """Fetch documents from the socket `control` for ever and put each valid one in force.

    An invalid document leaves the one in force as it is and is reported once; so is a control side that is away.
    """
    pool = Pool(Target("control", path=control), idle_seconds=60)
    version, failures, told = "", 0, ""
    while True:
        try:
            status, body = await _poll(pool, version)
            if status == 200:
                version, told = _take(body, put_in_force, told)
            elif status != 204:
                raise UpstreamError(f"the control side answered {status}")
            failures = 0
        except (UpstreamError, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            if reason != told:
                logger.warning("edge document: %s; the one in force stays", reason)
            told = reason
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
            failures += 1


def _take(body: bytes, put_in_force: Callable[[Document], None], told: str) -> tuple[str, str]:
    """Put a document in force; the version to ask for changes after, and what was reported."""
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamError("the control side sent no JSON") from error
    try:
        new = document(raw)
        put_in_force(new)
    except DocumentError as error:
        if (reason := str(error)) != told:
            logger.error("edge document refused, the one in force stays: %s", reason)
        refused = raw.get("version") if isinstance(raw, dict) else None
        if not isinstance(refused, str) or not refused:
            raise UpstreamError("the edge document has no version") from error
        return refused, reason
    logger.info("edge document in force: %d servers, version %s", len(new.routes), new.version[:12])
    return new.version, ""


async def _poll(pool: Pool, version: str) -> tuple[int, bytes]:
    target = f"/internal/edge?after={quote(version, safe='')}".encode()
    whole = _Whole()
    call = pool.send(request_head(b"GET", target, [(b"host", b"control")]), whole, repeatable=True)
    try:
        async with asyncio.timeout(HOLD_SECONDS):
            return await whole.future
    finally:
        if not whole.future.done() or whole.future.cancelled() or whole.future.exception() is not None:
            call.cancel()
