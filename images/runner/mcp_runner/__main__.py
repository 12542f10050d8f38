"""`python -m mcp_runner --config FILE [--listen HOST:PORT] [--files FOLDER]`; FILE `-` is standard input."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop
from mcp_wire.http_server import Connections, HttpServerProtocol, Limits

from mcp_runner.child import reap_orphans
from mcp_runner.config import ConfigError, RunnerConfig, load
from mcp_runner.endpoint import KEEP_ALIVE_SECONDS, Endpoint
from mcp_runner.host import Host, HostError
from mcp_runner.intake import receive
from mcp_runner.log import Handler, log

DRAIN_SECONDS = 5.0
"""Docker and Kubernetes wait 10 and 30 s before they kill: answers get this long, the children the rest."""


async def serve(config: RunnerConfig, host_name: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host = Host(config)
    endpoint = Endpoint(host)
    limits = Limits(body_bytes=config.request_bytes)
    connections = Connections(limits)
    server = await loop.create_server(
        lambda: HttpServerProtocol(endpoint.on_request, limits, endpoint.on_head, connections),
        host_name,
        port,
        backlog=1024,
    )
    timers = [asyncio.create_task(_every(min(5.0, config.idle_seconds / 4), host.sweep))]
    timers.append(asyncio.create_task(_every(KEEP_ALIVE_SECONDS, endpoint.keep_alive)))
    if os.getpid() == 1:
        timers.append(asyncio.create_task(_every(2.0, reap_orphans)))
    starting = asyncio.create_task(host.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    status = 0
    if starting.done():
        try:
            starting.result()
            log("info", "listening on {}:{}".format(*server.sockets[0].getsockname()))
            await stopping
        except HostError as error:
            log("error", f"the server can't be hosted: {error}")
            status = 1
    else:
        starting.cancel()
    server.close()
    host.ready = False
    host.closing = True
    endpoint.close_streams()
    await connections.drain(DRAIN_SECONDS)
    await host.close()
    for timer in timers:
        timer.cancel()
    return status


async def _every(seconds: float, work: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        work()


def main() -> int:
    """Read the configuration and serve."""
    parser = argparse.ArgumentParser(prog="mcp_runner", description="Hosts a stdio MCP server behind streamable HTTP.")
    parser.add_argument("--config", required=True, help="the configuration document (JSON); - is standard input")
    parser.add_argument("--listen", default="0.0.0.0:8080", metavar="HOST:PORT", help="default: %(default)s")
    parser.add_argument(
        "--files",
        type=Path,
        default=Path("/run/mcp/files"),
        metavar="FOLDER",
        help="where the files of a document from standard input are put; default: %(default)s",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, handlers=[Handler()])
    host_name, _, port = arguments.listen.rpartition(":")
    if not port.isdecimal():
        parser.error("--listen: want HOST:PORT")
    try:
        config = receive(arguments.files, os.environ) if arguments.config == "-" else load(Path(arguments.config))
    except ConfigError as error:
        for line in str(error).splitlines():
            log("error", line)
        return 2
    return uvloop.run(serve(config, host_name, int(port)))


if __name__ == "__main__":
    sys.exit(main())
