"""What the operator sets for the process, from arguments or the environment; the rest comes in the edge document.

The defaults are those of the container, which no port of the host leads to unless the stack publishes one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`audit_full` says what happens to calls that can't be recorded: `refuse` (503) or `drop` the record.

    `audit_bytes` is the size at which an audit file is closed and a new one begun, `audit_files` how many closed ones
    are kept for each worker (0: all). `stream_idle_seconds` ends a stream on which nothing came for so long.
    """

    host: str
    port: int
    control: str
    audit: Path
    audit_full: str
    audit_bytes: int
    audit_files: int
    workers: int
    stream_idle_seconds: float
    drain_seconds: float


def settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; ends the process with a message when they can't be right.

    There is no setting that turns authorization off, and no edge without a control side's socket.
    """
    parser = argparse.ArgumentParser(prog="mcp_gateway edge", description="Check and carry MCP calls.")

    def option(name: str, default: str, text: str) -> None:
        variable = "GATEWAY_" + name.upper().replace("-", "_")
        parser.add_argument(f"--{name}", default=environment.get(variable, default), help=f"{text} [{variable}]")

    option("listen", "0.0.0.0:8080", "address and port")
    option("control", "unix:/run/gateway/control.sock", "socket of the control side, as unix:/path")
    option("audit", "/audit", "folder of the audit files")
    option("audit-full", "refuse", "refuse calls that can't be recorded, or drop their record: refuse|drop")
    option("audit-bytes", str(64 * 1024 * 1024), "size of an audit file")
    option("audit-files", "16", "closed audit files to keep for each worker, 0 for all")
    option("workers", "1", "processes that share the port")
    option("stream-idle-seconds", "3600", "seconds without a byte after which a stream is ended")
    option("drain-seconds", "20", "seconds that calls have to end when the edge is stopped")
    given = parser.parse_args(arguments)
    host, _, port = given.listen.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"--listen: got {given.listen!r}; want ADDRESS:PORT, such as 0.0.0.0:8080")
    if not given.control.startswith("unix:/"):
        parser.error(
            f"--control: got {given.control!r}; want unix:/path of the control side's socket: "
            "the edge takes tokens, users and routes from there and serves nothing without it"
        )
    if given.audit_full not in ("refuse", "drop"):
        parser.error(f"--audit-full: got {given.audit_full!r}; want refuse or drop")
    numbers = {}
    for name in ("audit_bytes", "audit_files", "workers", "stream_idle_seconds", "drain_seconds"):
        text = getattr(given, name)
        if not text.isdigit():
            parser.error(f"--{name.replace('_', '-')}: got {text!r}; want a whole number")
        numbers[name] = int(text)
    if numbers["workers"] < 1:
        parser.error("--workers: want at least 1")
    return Settings(
        host=host.strip("[]"),
        port=int(port),
        control=given.control.removeprefix("unix:"),
        audit=Path(given.audit),
        audit_full=given.audit_full,
        **numbers,
    )
