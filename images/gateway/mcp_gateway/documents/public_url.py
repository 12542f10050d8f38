"""The gateway's public URL: an origin, and over plain http on a loopback address only."""

from __future__ import annotations

import re
from typing import Final

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})
"""The hosts that never leave the machine, as they are written in a URL."""

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:(?P<port>[1-9][0-9]{0,4}))?"
)


def public_url_problem(url: str) -> str | None:
    """What is wrong with a public URL, or None.

    It is the issuer identifier that clients compare byte by byte (RFC 8414 section 3.3), so it is an origin in its
    normal form without a trailing slash. OAuth endpoints need TLS (OAuth 2.1 section 1.5); loopback is excepted.
    """
    match = _ORIGIN.fullmatch(url)
    if match is None:
        return "must be an origin in lower case without a path or a trailing slash, such as https://mcp.example.com"
    if match["port"] and int(match["port"]) > 65535:
        return "has a port above 65535"
    if match["port"] == {"http": "80", "https": "443"}[match["scheme"]]:
        return "must leave out the scheme's default port"
    if match["scheme"] == "http" and match["host"] not in LOOPBACK_HOSTS:
        return "may use http on 127.0.0.1, [::1] or localhost only: put TLS in front and use https"
    return None
