"""Redirect URIs of native apps: exact URIs with a private-use scheme (RFC 8252 section 7.1)."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 200
"""The gateway holds the same bounds (docs/contracts.md, section 1)."""

TAKEN_SCHEMES: Final = frozenset(
    [
        "about",
        "blob",
        "chrome",
        "chrome-extension",
        "content",
        "data",
        "devtools",
        "file",
        "filesystem",
        "ftp",
        "http",
        "https",
        "intent",
        "jar",
        "javascript",
        "ldap",
        "mailto",
        "moz-extension",
        "ms-appinstaller",
        "ms-msdt",
        "res",
        "resource",
        "search-ms",
        "sftp",
        "sms",
        "smb",
        "ssh",
        "tel",
        "telnet",
        "urn",
        "vbscript",
        "view-source",
        "ws",
        "wss",
    ]
)
"""Schemes that are not one app's own: what a browser or an operating system acts on itself, and protocols."""

# The scheme in lower case, as browsers compare it; then `//host`, or `/` alone (RFC 8252 section 7.1).
# Without `@`, `#` and `*`: no user name, no fragment, nothing that looks like a wildcard.
_CHARACTERS = r"[A-Za-z0-9\-._~:/?\[\]!$&'()+,;=%]"
_NATIVE = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.\-]+):"
    rf"(?://[A-Za-z0-9](?:[A-Za-z0-9._\-]*[A-Za-z0-9])?(?::[0-9]{{1,5}})?(?:[/?]{_CHARACTERS}*)?|/(?!/){_CHARACTERS}*)"
)


def native_redirect_uri(uri: str) -> str:
    """Return the URI; raises ValueError, saying what is wrong with it."""
    if len(uri) > LONGEST:
        raise ValueError(f"the URI is longer than {LONGEST} characters")
    match = _NATIVE.fullmatch(uri)
    if match is None:
        raise ValueError(
            "the URI is not one app's, scheme://host/path or scheme:/path with a scheme in lower case, without a user "
            "name, a fragment and a wildcard"
        )
    if match["scheme"] in TAKEN_SCHEMES:
        raise ValueError(f"{match['scheme']} is not one app's own scheme; https and loopback need no setting")
    return uri
