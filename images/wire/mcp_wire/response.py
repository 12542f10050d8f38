"""How an answer's head is spelt: status line, header block, date. Pure but for the clock of `date_line`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import NewType

HeaderBlock = NewType("HeaderBlock", bytes)
"""Header lines that `header_block` made; passing one instead of pairs saves their encoding for each answer."""

Headers = Iterable[tuple[bytes, bytes]] | HeaderBlock

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_date = (0, b"")


def status_line(status: int) -> bytes:
    """Return the status line with its CRLF."""
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()


def header_block(headers: Headers) -> HeaderBlock:
    """Encode headers, one line each with its CRLF.

    Raises ValueError when a name or value holds CR, LF or NUL: such a header could forge others or a whole answer.
    """
    if isinstance(headers, bytes):
        return HeaderBlock(headers)
    lines = [b"%b: %b\r\n" % header for header in headers]
    block = b"".join(lines)
    if block.count(b"\r") != len(lines) or block.count(b"\n") != len(lines) or b"\0" in block:
        raise ValueError("a response header holds CR, LF or NUL")
    return HeaderBlock(block)


def date_line() -> bytes:
    """Return the `date` header line (RFC 9110 section 6.6.1), made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, time.strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(now)).encode())
    return _date[1]
