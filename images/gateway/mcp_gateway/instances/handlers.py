"""`/internal/instances`: the edge's table, starts and reports of use (docs/contracts.md, section 9).

The socket's permissions are the check of who asks; the edge never forwards a path below `/internal/`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_gateway.instances import messages
from mcp_gateway.instances.activity import Use
from mcp_gateway.instances.refusal import STATUSES, StartRefused
from mcp_gateway.instances.service import Instances
from mcp_gateway.instances.view import Key

MOST_WAITING: Final = 64
"""Starts of one user that are waited for at once. A worker asks once for each instance."""
_MOST_BYTES: Final = 4 * 1024 * 1024
_LONGEST_WORKER: Final = 100

_log = logging.getLogger("mcp_gateway.instances")


class _BadRequest(Exception):
    """A body that isn't what the contract says."""


@dataclass
class InstanceHandlers:
    """Three requests; a start goes on when the one who asked goes away."""

    instances: Instances
    waiting: Counter[str] = field(default_factory=Counter)

    async def table(self, request: Request) -> Response:
        """`GET /internal/instances?after=<version>`."""
        own = self.instances
        own.activity.edge_heard(own.monotonic())
        answer = await own.roster.table.answer(request)
        own.activity.edge_heard(own.monotonic())
        return answer

    async def start(self, request: Request) -> Response:
        """`POST /internal/instances/start`."""
        try:
            key, failed = _start_asked(await _body(request))
        except _BadRequest as error:
            return _bad(error)
        if self.waiting[key[1]] >= MOST_WAITING:
            return _refusal(StartRefused("limit", messages.BUSY, 2))
        self.waiting[key[1]] += 1
        try:
            return JSONResponse({"url": await self.instances.start(*key, failed=failed)})
        except StartRefused as error:
            return _refusal(error)
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("start of an instance of %s", key[0])
            return _refusal(StartRefused("unavailable", messages.AWAY, messages.AWAY_RETRY_SECONDS))
        finally:
            self.waiting[key[1]] -= 1
            if not self.waiting[key[1]]:
                del self.waiting[key[1]]

    async def active(self, request: Request) -> Response:
        """`POST /internal/instances/active`."""
        own = self.instances
        try:
            worker, uses = _report(await _body(request), own.monotonic())
        except _BadRequest as error:
            return _bad(error)
        own.activity.report(worker, uses, own.monotonic())
        return Response(status_code=204)


def _bad(error: _BadRequest) -> Response:
    return JSONResponse({"error": "bad-request", "message": str(error)}, 400)


def _refusal(error: StartRefused) -> Response:
    answer = {
        "error": error.code,
        "message": error.message,
        "retrySeconds": error.retry_seconds,
        "missing": list(error.missing),
    }
    return JSONResponse(answer, STATUSES[error.code])


async def _body(request: Request) -> Any:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BYTES:
            raise _BadRequest("the body is too long")
    try:
        return json.loads(bytes(content))
    except ValueError:
        raise _BadRequest("the body is no JSON") from None


def _start_asked(raw: Any) -> tuple[Key, str | None]:
    if not isinstance(raw, dict) or set(raw) != {"server", "subject", "failed"}:
        raise _BadRequest("want server, subject and failed")
    failed = raw["failed"]
    if failed is not None and not isinstance(failed, str):
        raise _BadRequest("failed: want a URL or null")
    return _key(raw), failed


def _report(raw: Any, now: float) -> tuple[str, dict[Key, Use]]:
    if not isinstance(raw, dict) or set(raw) != {"worker", "instances"} or not isinstance(raw["instances"], list):
        raise _BadRequest("want worker and instances")
    worker = raw["worker"]
    if not isinstance(worker, str) or not 1 <= len(worker) <= _LONGEST_WORKER:
        raise _BadRequest(f"worker: want a text of at most {_LONGEST_WORKER} characters")
    return worker, dict(_use(each, now) for each in raw["instances"])


def _use(raw: Any, now: float) -> tuple[Key, Use]:
    if not isinstance(raw, dict) or set(raw) != {"server", "subject", "open", "idleSeconds"}:
        raise _BadRequest("instances: want server, subject, open and idleSeconds of each")
    count, idle = raw["open"], raw["idleSeconds"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise _BadRequest("open: want a whole number")
    if not isinstance(idle, int | float) or isinstance(idle, bool) or not math.isfinite(idle) or idle < 0:
        raise _BadRequest("idleSeconds: want a number of seconds")
    return _key(raw), Use(count, now - idle)


def _key(raw: dict[str, Any]) -> Key:
    server, subject = raw["server"], raw["subject"]
    if not isinstance(server, str) or not isinstance(subject, str):
        raise _BadRequest("server and subject: want texts")
    return server, subject
