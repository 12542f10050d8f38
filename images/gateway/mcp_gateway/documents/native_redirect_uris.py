"""Redirect URIs of native apps: exact URIs with a private-use scheme (RFC 8252 section 7.1) that a stack admits."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 200

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


def native_redirect_uri_problem(uri: str) -> str | None:
    """What is wrong with a URI that a stack wants to admit, or None."""
    if len(uri) > LONGEST:
        return f"is longer than {LONGEST} characters"
    match = _NATIVE.fullmatch(uri)
    if match is None:
        return (
            "must be one app's URI, scheme://host/path or scheme:/path with a scheme in lower case, without a user "
            "name, a fragment, a wildcard or characters that a URI doesn't have"
        )
    if match["scheme"] in TAKEN_SCHEMES:
        return "has a scheme that is not one app's own"
    return None
