"""`python -m mcp_launcher --stack <stack>` watches; `python -m mcp_launcher health` exits with 0 while that works."""

import argparse
import os
import signal
import sys
import threading
import time
from types import FrameType

from mcp_launcher import health
from mcp_launcher.engine import Engine
from mcp_launcher.log import write
from mcp_launcher.watch import Wake, follow, run


def main(arguments: list[str]) -> int:
    """Read the command line and watch until a signal comes."""
    if arguments == ["health"]:
        return 0 if health.healthy(time.monotonic()) else 1
    parser = argparse.ArgumentParser(prog="mcp_launcher", description="Join a stack's edge to its servers' networks.")
    parser.add_argument("--stack", required=True, help="the stack whose labels are watched")
    parser.add_argument("--socket", default="/var/run/docker.sock", help="the engine's Unix socket")
    options = parser.parse_args(arguments)

    # The first process of a container has no default action for signals: without a handler it would wait to be killed.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    wake = Wake()
    write("info", "watching", stack=options.stack)
    # Each thread has its own client: the events' one only ever reads.
    events = Engine(options.socket, options.stack)
    threading.Thread(target=follow, args=(events, wake), name="events", daemon=True).start()
    run(Engine(options.socket, options.stack), wake)
    return 0


def _leave(signum: int, _frame: FrameType | None) -> None:
    # Nothing is held that needs putting away, and each action stands alone.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
