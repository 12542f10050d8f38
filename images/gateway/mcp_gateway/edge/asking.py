"""Asks the control side over its Unix socket and takes the answer whole (docs/contracts.md, sections 2 and 9)."""

from __future__ import annotations

import asyncio

from mcp_wire.http_client import Pool, UpstreamError, request_head

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
            self.future.set_exception(UpstreamError("the control side's answer is too long"))

    def on_read_end(self) -> None:
        pass

    def on_end(self) -> None:
        if not self.future.done():
            self.future.set_result((self._status, bytes(self._body)))

    def on_failure(self, error: UpstreamError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


async def ask(
    pool: Pool, method: bytes, target: bytes, body: bytes = b"", *, seconds: float, repeatable: bool
) -> tuple[int, bytes]:
    """Status and body of the answer to a request, whose `body` is JSON; `repeatable` is as in `Pool.send`.

    Raises UpstreamError when the control side is away, TimeoutError when it doesn't answer within `seconds`.
    """
    headers = [(b"host", b"control")]
    if method != b"GET":
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    whole = _Whole()
    call = pool.send(request_head(method, target, headers) + body, whole, repeatable=repeatable)
    try:
        async with asyncio.timeout(seconds):
            return await whole.future
    finally:
        if not whole.future.done() or whole.future.cancelled() or whole.future.exception() is not None:
            call.cancel()
