"""The start of a stdio server: from the spawn of its command to its answer to `initialize`."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

ANSWER_SECONDS = 300.0
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "cold-start", "version": "1"},
    },
}


def seconds_until_answer(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Start the command, ask once, end it.

    Raises:
        RuntimeError: it ended, or was silent for five minutes, without an answer.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(int(ANSWER_SECONDS))
        for line in process.stdout:
            if line.startswith(b"{") and json.loads(line).get("id") == 1:
                return time.perf_counter() - began
        raise RuntimeError(f"{command[0]} gave no answer")
    finally:
        signal.alarm(0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
