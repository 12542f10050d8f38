"""Tells the control side which instances this worker uses, so that it stops those that nobody does."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping

import orjson
from mcp_wire.http_client import Pool, UpstreamError

from mcp_gateway.edge.asking import ask
from mcp_gateway.edge.instances import Instances, Key, Use

logger = logging.getLogger(__name__)

REPORT_SECONDS = 5.0


def report(worker: str, uses: Mapping[Key, Use], now: float) -> bytes:
    """The report of one worker (docs/contracts.md, section 9); `now` is monotonic, in seconds."""
    instances = [
        {
            "server": server,
            "subject": subject,
            "open": use.open,
            "idleSeconds": 0.0 if use.open else round(max(0.0, now - use.last), 3),
        }
        for (server, subject), use in uses.items()
    ]
    return orjson.dumps({"worker": worker, "instances": instances})


async def tell(pool: Pool, instances: Instances) -> None:
    """Report for ever; a report that can't be delivered is made up for by the next one."""
    worker = uuid.uuid4().hex
    told, used = "", False
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        uses = instances.uses()
        if not uses and not used:
            continue
        body = report(worker, uses, time.monotonic())
        try:
            status, _ = await ask(
                pool, b"POST", b"/internal/instances/active", body, seconds=REPORT_SECONDS, repeatable=True
            )
            problem = "" if status == 204 else f"the control side answered {status}"
        except (UpstreamError, TimeoutError) as error:
            problem = str(error) or "no answer in time"
        if problem and problem != told:
            logger.warning("report of used instances: %s", problem)
        told, used = problem, bool(uses) or bool(problem)
