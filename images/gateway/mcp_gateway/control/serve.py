"""Serves the control side on its Unix socket."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from pathlib import Path
from types import FrameType

import uvicorn
from sqlalchemy.exc import OperationalError

from mcp_gateway.control.app import LAUNCHER_SOCKET, ControlSide, build_control_side
from mcp_gateway.control.upkeep import POLL_SECONDS, UPKEEP_SECONDS, repeat
from mcp_gateway.state.database import Database, open_database
from mcp_gateway.state.envelope import Envelope, has_data_keys, open_envelope
from mcp_gateway.state.key_provider import KeyUnavailable, open_key_file

_STOP_SECONDS = 2


class _Server(uvicorn.Server):
    """Answers the waiting polls when told to stop, so that stopping doesn't wait for them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which raises the signal again at the end: the exit code is ours.
        self.should_exit = True
        self.loop.call_soon_threadsafe(self.stopping.set)


def open_state(database_url: str, key_file: Path) -> tuple[Database, Envelope]:
    """Open database and keys; a new database gets a new key file. Raises KeyUnavailable."""
    database = open_database(database_url)
    with database.begin() as db:
        provider = open_key_file(key_file, create=not has_data_keys(db))
        return database, open_envelope(db, provider, int(time.time()))


def bind_socket(path: Path) -> socket.socket:
    """Listen at a path that only this user and group may connect to."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The socket is born with its mode: no moment at which others may connect.
    previous = os.umask(0o117)
    try:
        listener.bind(str(path))
    finally:
        os.umask(previous)
    return listener


async def serve(control: ControlSide, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        control.app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    server = _Server(config)
    await control.applier.restore()

    async def stop() -> None:
        await server.stopping.wait()
        control.instances.roster.table.stop()
        await control.feed.stop()

    background = [
        asyncio.create_task(stop()),
        asyncio.create_task(repeat(control.applier.poll, POLL_SECONDS)),
        asyncio.create_task(repeat(control.upkeep.run_once, UPKEEP_SECONDS)),
        asyncio.create_task(control.following.run()),
        asyncio.create_task(control.attendance.run()),
    ]
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await control.attendance.close()


def run(arguments: list[str] | None = None) -> int:
    """Parse the command line, open the state and serve."""
    parser = argparse.ArgumentParser(prog="mcp_gateway control", description="Run the gateway's control side.")
    parser.add_argument("--state", type=Path, default=Path("/state"), help="folder of the SQLite database")
    parser.add_argument("--database-url-file", type=Path, help="file with the URL of another database")
    parser.add_argument("--key-file", type=Path, default=Path("/keys/master.key"), help="the key that encrypts secrets")
    parser.add_argument("--delivery", type=Path, default=Path("/delivery"), help="folder that documents arrive in")
    parser.add_argument("--socket", type=Path, default=Path("/run/gateway/control.sock"), help="where to listen")
    parser.add_argument("--launcher", type=Path, default=LAUNCHER_SOCKET, help="the launcher's socket")
    options = parser.parse_args(arguments)
    url_file: Path | None = options.database_url_file
    # A URL may hold a password, so it comes in a file: arguments and environment can be read by others.
    url = url_file.read_text().strip() if url_file else f"sqlite:///{options.state / 'gateway.db'}"
    os.umask(0o077)
    try:
        database, envelope = open_state(url, options.key_file)
    except KeyUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OperationalError as error:
        sys.stderr.write(f"The database can't be opened: {error.orig}\n")
        return 1

    async def main() -> None:
        control = build_control_side(
            database=database,
            envelope=envelope,
            delivery=options.delivery,
            launcher=options.launcher,
            clock=time.time,
        )
        await serve(control, bind_socket(options.socket))

    import uvloop

    uvloop.run(main())
    database.close()
    return 0
