"""The address that a request comes from."""

from __future__ import annotations

from starlette.requests import Request


def client_address(request: Request) -> str:
    """The browser's or client's address.

    The edge, the only one that can reach this side's socket, replaces `X-Forwarded-For` with the address it saw.
    """
    return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()[:64] or "unknown"
