"""The latest version of something, for those who wait for the next one (docs/contracts.md, sections 2 and 9)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

HOLD_SECONDS: Final = 25.0
"""How long a poll waits for a change."""


@dataclass
class Latest:
    """`version` names `body`, which is JSON; it is empty while there is none."""

    version: str = ""
    body: bytes = field(default=b"", repr=False)
    stopping: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def publish(self, version: str, body: bytes) -> None:
        """Put a version in place of the last one, and answer everyone who waits."""
        self.version, self.body = version, body
        self._wake()

    def stop(self) -> None:
        """Answer every waiting poll, so that the server can shut down."""
        self.stopping = True
        self._wake()

    async def answer(self, request: Request) -> Response:
        """`GET …?after=<version>`: the version there is, if it is another one, else 204 after a while."""
        after = request.query_params.get("after", "")
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                while not self.stopping and self.version in {"", after}:
                    await self.changed.wait()
        except TimeoutError:
            return Response(status_code=204)
        if self.version in {"", after}:
            return Response(status_code=204)
        return Response(self.body, media_type="application/json", headers={"Cache-Control": "no-store"})

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()
