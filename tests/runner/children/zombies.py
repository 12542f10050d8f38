"""A runner as PID 1 that, after four seconds, writes down the state of every process it sees, and ends.

Arguments: configuration, result.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path


def look(result: str) -> None:
    time.sleep(4)
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in os.listdir("/proc") if pid.isdigit()]
    Path(result).write_text(" ".join(stat.rpartition(")")[2].split()[0] for stat in stats))
    os.kill(1, signal.SIGTERM)


threading.Thread(target=look, args=(sys.argv[2],), daemon=True).start()
sys.argv = ["mcp_runner", "--config", sys.argv[1], "--listen", "127.0.0.1:0"]
runpy.run_module("mcp_runner", run_name="__main__")
