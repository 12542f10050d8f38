"""One JSON object a line on standard output."""

import json
import sys
import time


def write(level: str, message: str, **fields: object) -> None:
    """Write a line; `fields` must never hold a secret (the launcher knows none)."""
    line = {"time": round(time.time(), 3), "level": level, "message": message, **fields}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
