"""`POST /internal/rotate-keys`: the operator's order to rotate the keys, carried out while everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.state.key_provider import KeyUnavailable
from mcp_gateway.state.rotation import KeyRotation, RotationStopped

_BREATH_SECONDS: Final = 0.01
"""Between two batches, so that a writer that waits for the database gets its turn."""


@dataclass
class KeyRotationHandler:
    """The socket's permissions are the check of who asks; the edge never forwards a path below `/internal/`."""

    rotation: KeyRotation
    audit: AuditLog
    clock: Callable[[], float]
    running: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def handle(self, request: Request) -> Response:
        """200 `{"moved"}` when the former keys are gone; 409 while another rotation runs; 500 `{"error"}`."""
        if self.running.locked():
            return JSONResponse({"error": "a rotation is running already: wait for its end"}, 409)
        async with self.running:
            try:
                moved = await self._rotate()
            except (RotationStopped, KeyUnavailable) as error:
                reason = str(error)
            except SQLAlchemyError as error:
                # Its text may quote a statement; what went wrong is in the driver's own words.
                reason = f"The database failed ({getattr(error, 'orig', None) or type(error).__name__}). Rotate again."
            except OSError as error:
                reason = f"The key file can't be written: {error.strerror}. Rotate again."
            else:
                self.audit.record("keys-rotated", values=moved)
                return JSONResponse({"moved": moved})
        self.audit.record("key-rotation-failed", reason=reason)
        return JSONResponse({"error": reason}, 500)

    async def _rotate(self) -> int:
        self.audit.record("key-rotation-begun")
        await run_in_threadpool(self.rotation.begin, int(self.clock()))
        moved = 0
        while True:
            while batch := await run_in_threadpool(self.rotation.move):
                moved += batch
                await asyncio.sleep(_BREATH_SECONDS)
            if await run_in_threadpool(self.rotation.finish):
                return moved
