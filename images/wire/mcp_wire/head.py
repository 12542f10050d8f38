"""What a request's head may hold, and how a head that a connection sends again is known without parsing it anew."""

from __future__ import annotations

from mcp_wire.request import Request

_SINGLE_HEADERS = (b"host", b"content-length", b"transfer-encoding", b"authorization", b"origin", b"content-type")
_LENGTH = b"\r\ncontent-length:"
_MAX_DIGITS = 15


def head_problem(request: Request, version: str, coding: bytes | None) -> int:
    """Return the status that refuses this head, or 0 (RFC 9112 sections 2.3, 3.2, 6.1 and 6.3)."""
    if version not in ("1.1", "1.0"):
        return 505
    if coding is not None and (
        coding.lower() != b"chunked" or version == "1.0" or request.get(b"content-length") is not None
    ):
        return 400
    if request.has_repeated_headers and any(len(request.get_all(name)) > 1 for name in _SINGLE_HEADERS):
        return 400
    host = request.get(b"host")
    if host is None and version == "1.1":
        return 400
    target = request.target
    if (target[:1] != b"/" and not (target == b"*" and request.method == "OPTIONS")) or b"#" in target:
        return 400
    return 0


class LastHead:
    """The head of a connection's last request, as most clients send the same again but for the body's length.

    The same bytes have the same meaning; between them only the digits of Content-Length may differ.
    """

    __slots__ = ("_after", "_at", "_before", "_request", "keep_alive")

    def __init__(self, request: Request, before: bytes, after: bytes, at: int, *, keep_alive: bool):
        self._request = request
        self._before = before
        self._after = after
        self._at = at
        self.keep_alive = keep_alive

    def repeated(self, data: bytes, end: int) -> Request | None:
        """Return the request whose head is `data[:end]`, if that is this head with a length of its own."""
        if not data.startswith(self._before) or not data.endswith(self._after, len(self._before), end):
            return None
        digits = data[len(self._before) : end - len(self._after)].strip(b" \t")
        if not digits.isdigit() or len(digits) > _MAX_DIGITS:
            return None
        return self._request.with_length(self._at, digits)


def last_head(raw: bytes, request: Request, *, keep_alive: bool) -> LastHead | None:
    """Remember an accepted head; None for one whose meaning is more than its bytes and a length."""
    at = next((at for at, pair in enumerate(request.headers) if pair[0] == b"content-length"), -1)
    start = raw.lower().find(_LENGTH)
    if at < 0 or start < 0 or request.http10 or request.get(b"expect") or request.get(b"upgrade"):
        return None
    start += len(_LENGTH)
    return LastHead(request, raw[:start], raw[raw.index(b"\r\n", start) :], at, keep_alive=keep_alive)
