"""Delivery: hands over a gateway document and waits until it is in force (docs/contracts.md, section 1)."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mcp_gateway.documents.files import DOCUMENT_NAME, acknowledged, write_atomically
from mcp_gateway.documents.gateway import InvalidDocument, digest, parse_gateway_document


class NotDelivered(Exception):
    """The document isn't in force; the message says why, a line for each problem."""


def deliver(raw: bytes, folder: Path, seconds: float) -> None:
    """Validate the document, write it and wait up to `seconds` for the acknowledgement of that very content.

    Raises:
        NotDelivered: the document is wrong, was refused, or nobody answered in time.
    """
    try:
        parse_gateway_document(raw)
    except InvalidDocument as error:
        raise NotDelivered("The gateway document is not valid:\n  " + "\n  ".join(error.problems)) from None
    write_atomically(folder / DOCUMENT_NAME, raw)
    wanted = digest(raw)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        problems = acknowledged(folder, wanted)
        if problems == []:
            return
        if problems:
            raise NotDelivered("The gateway refused the document:\n  " + "\n  ".join(problems))
        time.sleep(0.05)
    raise NotDelivered(
        f"The gateway's control side did not take the document within {seconds:g} s: look at the log of its container."
    )


def main(arguments: list[str] | None = None) -> int:
    """Deliver once; the exit code is 0 when the document is in force, else 1."""
    parser = argparse.ArgumentParser(
        prog="mcp_gateway deliver", description="Hand a gateway document to the control side."
    )
    parser.add_argument("--document", type=Path, default=Path("/etc/mcp/gateway.json"), help="the document to deliver")
    parser.add_argument(
        "--folder", type=Path, default=Path("/delivery"), help="the folder shared with the control side"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to wait for the acknowledgement")
    options = parser.parse_args(arguments)
    try:
        deliver(options.document.read_bytes(), options.folder, options.seconds)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 1
    except NotDelivered as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
