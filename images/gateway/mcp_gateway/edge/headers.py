"""Which headers pass. Only what is listed here does: everything else stops at the edge, however it is spelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 section 7.6.1."""

RESERVED_REQUEST_HEADERS = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"content-type",
    b"expect",
    b"x-mcp-user",
    b"x-mcp-client",
    b"mcp-session-id",
}
"""What a route can't set: the message's framing, and what the edge sets itself."""

# `accept-encoding` isn't among them: answers are read where tools are filtered, and compression leaks what it packs
# together (BREACH).
_TO_SERVER = frozenset(
    {
        b"accept",
        b"accept-language",
        b"baggage",
        b"traceparent",
        b"tracestate",
        b"user-agent",
    }
)
_MODERN_ONLY = frozenset({b"mcp-method", b"mcp-name"})
_HANDLED = frozenset({b"mcp-session-id"})

# Cookies, Clear-Site-Data, WWW-Authenticate and their like would act on the gateway's origin or start a sign-in.
_TO_CLIENT = frozenset(
    {b"allow", b"cache-control", b"content-encoding", b"content-language", b"content-type", b"retry-after"}
)

_FROM_PROXIES = frozenset({b"forwarded", b"x-real-ip", b"remote-user", b"x-mcp-user", b"x-mcp-client"})
_FROM_PROXIES_PREFIXES = (b"x-forwarded-", b"x-user", b"x-auth-")


def to_server(
    headers: Iterable[tuple[bytes, bytes]], *, modern: bool, owned: frozenset[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """The client's headers that a server gets; `owned` are those that the route sets instead.

    `Mcp-Param-*` and other `Mcp-*` headers pass untouched. In eras that don't bind `Mcp-Method` and `Mcp-Name` to the
    body nobody may decide on them: they don't pass (rule 81).
    """
    for name, value in headers:
        if name in owned:
            continue
        if name in _TO_SERVER or (
            name.startswith(b"mcp-") and name not in _HANDLED and (modern or name not in _MODERN_ONLY)
        ):
            yield name, value


def connection_named(values: Iterable[bytes]) -> frozenset[bytes]:
    """The headers that `Connection` says are for this hop only."""
    return frozenset(name.strip().lower() for value in values for name in value.split(b","))


def to_client(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a server's answer that its client gets; the session id is bound by the caller."""
    return [
        pair for pair in headers if pair[0] in _TO_CLIENT or (pair[0].startswith(b"mcp-") and pair[0] not in _HANDLED)
    ]


def to_control(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The client's headers that the control side gets: not the hop's, the framing's, and what proxies vouch with."""
    for name, value in headers:
        if (
            name not in HOP_BY_HOP
            and name not in _FROM_PROXIES
            and name not in dropped
            and name not in (b"content-length", b"expect")
            and not name.startswith(_FROM_PROXIES_PREFIXES)
        ):
            yield name, value


def from_control(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of the control side's answer that its client gets: all but the hop's and the framing's."""
    return [pair for pair in headers if pair[0] not in HOP_BY_HOP and pair[0] != b"content-length"]
