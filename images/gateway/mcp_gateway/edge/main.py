"""The edge's process: workers that share a port, and their orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvloop

from mcp_gateway.edge.activity import tell
from mcp_gateway.edge.audit import Audit
from mcp_gateway.edge.feed import follow
from mcp_gateway.edge.settings import Settings, settings
from mcp_gateway.edge.worker import Edge

logger = logging.getLogger(__name__)

_BACKLOG = 1024


def main(arguments: Sequence[str]) -> int:
    """Run the edge until SIGTERM or SIGINT; the exit status."""
    chosen = settings(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    return _worker(chosen, 0) if chosen.workers == 1 else _supervise(chosen)


def _supervise(chosen: Settings) -> int:
    """Fork the workers; when one dies all end, so that whoever started the edge starts a whole one."""
    children = set()
    for number in range(chosen.workers):
        child = os.fork()
        if child == 0:
            os._exit(_worker(chosen, number))
        children.add(child)

    def stop(_signal: int, _frame: object) -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worst = 0
    while children:
        child, status = os.wait()
        children.discard(child)
        worst = max(worst, os.waitstatus_to_exitcode(status), key=abs)
        stop(0, None)
    return abs(worst)


def _worker(chosen: Settings, number: int) -> int:
    try:
        audit = Audit(
            chosen.audit,
            f"audit-{number}",
            refuse=chosen.audit_full == "refuse",
            file_bytes=chosen.audit_bytes,
            files=chosen.audit_files,
        )
    except OSError as error:
        logger.error("audit: %s can't be written: %s", chosen.audit, error)
        return 1
    try:
        uvloop.run(_serve(chosen, audit))
    except OSError as error:
        logger.error("can't listen on %s:%d: %s", chosen.host, chosen.port, error)
        return 1
    finally:
        audit.close()
    return 0


async def _serve(chosen: Settings, audit: Audit) -> None:
    loop = asyncio.get_running_loop()
    edge = Edge(chosen.control, audit, stream_idle_seconds=chosen.stream_idle_seconds)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(edge.protocol, sock=_socket(chosen))
    tasks = (
        loop.create_task(follow(chosen.control, "/internal/edge", "edge document", edge)),
        loop.create_task(follow(chosen.control, "/internal/instances", "table of instances", edge.instances)),
        loop.create_task(tell(edge.control, edge.instances)),
        loop.create_task(_sweep(edge)),
    )
    # What was imported stays; the collector needn't look at it again and again.
    gc.collect()
    gc.freeze()
    logger.info("edge listens on %s:%d", chosen.host, server.sockets[0].getsockname()[1])
    waits = loop.create_task(stopped.wait())
    # One of the tasks that ends is a mistake in the code: better to end than to judge by what is stale.
    await asyncio.wait((waits, *tasks), return_when=asyncio.FIRST_COMPLETED)
    server.close()
    edge.end_listening()
    await edge.connections.drain(chosen.drain_seconds)
    for task in (*tasks, waits):
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def _sweep(edge: Edge) -> None:
    while True:
        await asyncio.sleep(1)
        edge.sweep()


def _socket(chosen: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if chosen.workers > 1:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((chosen.host, chosen.port))
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening
