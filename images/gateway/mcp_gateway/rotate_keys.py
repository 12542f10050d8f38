"""Has the control side in the same container rotate its keys, and says how many values were moved."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Final

_SOCKET: Final = "/run/gateway/control.sock"
_SECONDS: Final = 3600


class _SocketConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self.path)


def main(arguments: Sequence[str]) -> int:
    """0 when the former keys are gone, else 1 and the reason."""
    path = arguments[0] if arguments else _SOCKET
    connection = _SocketConnection(path)
    try:
        connection.request("POST", "/internal/rotate-keys")
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        sys.stderr.write(
            f"The control side did not answer at {path} ({error or type(error).__name__}): look at its log, and rotate "
            "again. Whatever was done, nothing is lost.\n"
        )
        return 1
    finally:
        connection.close()
    if response.status != 200:
        sys.stderr.write(f"The keys were not rotated: {answer.get('error', response.status)}\n")
        return 1
    sys.stdout.write(f"The keys are rotated: {answer['moved']} values are under the new key, the former key is gone.\n")
    return 0
