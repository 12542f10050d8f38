"""Asks a part of the gateway in the same container whether it is ready; imports next to nothing, as it runs often."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

_SECONDS = 3


def main(arguments: Sequence[str]) -> int:
    """0 when the part (`edge` or `control`) answers `/healthz` with 200, else 1."""
    part = arguments[0] if arguments else ""
    if part == "edge":
        _, _, port = os.environ.get("GATEWAY_LISTEN", "0.0.0.0:8080").rpartition(":")
        family, address = socket.AF_INET, ("127.0.0.1", int(arguments[1] if len(arguments) > 1 else port))
        return _ask(family, address)
    if part == "control":
        path = arguments[1] if len(arguments) > 1 else os.environ.get("GATEWAY_CONTROL", "/run/gateway/control.sock")
        return _ask(socket.AF_UNIX, path.removeprefix("unix:"))
    sys.stderr.write("usage: mcp_gateway health edge [PORT] | control [SOCKET]\n")
    return 2


def _ask(family: int, address: str | tuple[str, int]) -> int:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(address)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status_line = connection.recv(64)
    except OSError as error:
        sys.stderr.write(f"no answer: {error}\n")
        return 1
    return 0 if status_line.split(b" ")[1:2] == [b"200"] else 1
