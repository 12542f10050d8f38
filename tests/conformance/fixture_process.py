"""The fixture server as a process of this machine, for tests that need no engine."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SERVER = Path(__file__).parents[1] / "fixtures" / "server"
START_SECONDS = 30.0


@contextlib.contextmanager
def fixture_server(**env: str) -> Iterator[str]:
    """Run the server on a free port of 127.0.0.1, with these variables; its MCP URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "fixture_server", "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ | {"PYTHONPATH": str(SERVER)} | env,
    )
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("the fixture server did not start")
