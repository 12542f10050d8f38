"""Authorization rules that no test carries yet, each with the part of the product that it waits for."""

from __future__ import annotations

from typing import Final

_BROKER = "waits for the broker of upstream logins: "

WAITING: Final[dict[int, str]] = {
    10: "there is one scope, `mcp`, so no hierarchy to judge by; it waits for a second scope",
    40: _BROKER + "only it keeps credentials of other authorization servers",
    62: _BROKER + "only it sends a browser to an upstream with a state",
    63: _BROKER + "only it receives authorization responses",
    64: _BROKER + "only it is an OAuth client that needs PKCE",
    65: _BROKER + "only it reads metadata of other authorization servers",
    66: _BROKER + "only it fetches upstream OAuth URLs; the guard that it will use is proved under rule 34",
    72: _BROKER + "only it opens authorization URLs of upstreams",
    90: "the gateway keeps no answers of servers; it waits for composite servers, which may",
    98: "servers come from the stack's catalog only; it waits for a way to start a server from a page",
}
