"""Everything that isn't a call goes to the control side over its Unix socket (docs/contracts.md, section 5)."""

from __future__ import annotations

import logging
import re

from mcp_wire.exchange import Exchange
from mcp_wire.http_client import UpstreamError, request_head
from mcp_wire.request import Request
from mcp_wire.response import Headers

from mcp_gateway.edge.answers import Answer, http_error
from mcp_gateway.edge.document import Document
from mcp_gateway.edge.headers import connection_named, from_control, to_control
from mcp_gateway.edge.relay import Relay, Wire

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 65_536
ANSWER_SECONDS = 30
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The control side decodes paths; so that both read the same path, only those pass that have one reading.
_PATH = re.compile(rb"/|(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~@+-]+)+/?")

_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Not available</title>
<body style="font-family:system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem">
<h1>Not available just now</h1><p>Signing in and settings are starting or being updated.
Calls to servers go on. Try again in a moment.</p></body></html>
"""


def is_forwarded(path: bytes) -> bool:
    """Whether a path is one of the control side's that may be reached from outside."""
    first = path[1:].partition(b"/")[0].lower()
    return first != b"internal" and _PATH.fullmatch(path) is not None


def control_request(request: Request, document: Document) -> bytes:
    """The request that the control side gets; scheme, host and peer are told from the edge's own knowledge."""
    named = connection_named(request.get_all(b"connection"))
    headers = [
        *to_control(request.headers, named),
        (b"x-forwarded-for", request.peer.encode()),
        (b"x-forwarded-proto", document.public_scheme),
        (b"x-forwarded-host", document.public_host),
        (b"content-length", b"%d" % len(request.body)),
    ]
    return request_head(request.method.encode(), request.target, headers) + request.body


class ControlCall(Relay):
    """Carries one request to the control side."""

    __slots__ = ("wants_page",)

    def __init__(self, request: Request, exchange: Exchange, wire: Wire, active: set[Relay]):
        super().__init__(exchange, wire, active, answer_seconds=ANSWER_SECONDS, idle_seconds=ANSWER_SECONDS)
        self.wants_page = b"text/html" in (request.get(b"accept") or b"")

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> Headers | Answer:
        """All headers but the hop's."""
        return from_control(headers)

    def failure(self, error: UpstreamError | None) -> Answer:
        """503: a page for people, JSON for clients."""
        logger.warning("control side: %s", error or "no answer in time")
        return unavailable(page=self.wants_page)


def unavailable(*, page: bool) -> Answer:
    """The control side isn't there, or has told nothing yet."""
    retry = (b"retry-after", b"2")
    if page:
        headers = (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            retry,
        )
        return Answer(503, headers, _PAGE, "control side unavailable")
    return http_error(503, "The gateway's control side is not available.", headers=(retry,))
