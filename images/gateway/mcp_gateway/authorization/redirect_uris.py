"""Redirect URIs: which ones a client may register, and when a request's URI is one of them.

Attacks that this refuses: `javascript:` and `data:` URIs; open redirection by an added path, query, user name,
sub-domain, other case or `..`; fragments that swallow the response; wildcards (RFC 9700 section 4.1). So nothing is
parsed and normalised before the comparison: two URIs are equal as strings, or differ in a loopback URI's port.

A native app may have a private-use scheme instead (RFC 8252 section 7.1). Any app on a person's machine can claim such
a scheme, so it is refused unless the stack lists the very URI: `native` below.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final
from urllib.parse import urlencode

LONGEST: Final = 2000

# RFC 3986: what a URI may consist of, without `#` and without `*`, which would look like a wildcard.
_CHARACTERS = r"[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=%]"
_LOOPBACK = re.compile(
    rf"http://(?P<host>127\.0\.0\.1|\[::1\]|localhost)(?::(?P<port>[0-9]{{1,5}}))?(?P<rest>(?:[/?]{_CHARACTERS}*)?)"
)
_HTTPS = re.compile(
    rf"https://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?P<port>:[0-9]{{1,5}})?(?:[/?]{_CHARACTERS}*)?"
)


def redirect_uri_problem(uri: str, native: Collection[str]) -> str | None:
    """Why a client may not register this URI, or None: https, http on loopback (RFC 8252 section 7.3), or listed."""
    if uri in native:
        return None
    if len(uri) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if not (_HTTPS.fullmatch(uri) or _LOOPBACK.fullmatch(uri)):
        return (
            "must be https, or http on 127.0.0.1, [::1] or localhost, without a user name, a fragment, a wildcard or "
            "characters that a URI doesn't have; an app's own scheme is accepted only where the stack lists the whole "
            "URI in gateway.registration.nativeRedirectUris"
        )
    return None


def is_registered(uri: str, registered: Iterable[str], native: Collection[str]) -> bool:
    """Whether a request's redirect URI is one of the client's, and still one that may be registered.

    Simple string comparison (OAuth 2.1 section 4.1.1); the port of a loopback URI may be any, because a native app
    takes the one that is free (RFC 8252 section 7.3).
    """
    if redirect_uri_problem(uri, native):
        return False
    return any(uri == known or _differ_in_port_only(uri, known) for known in registered)


def _differ_in_port_only(uri: str, known: str) -> bool:
    one, other = _LOOPBACK.fullmatch(uri), _LOOPBACK.fullmatch(known)
    return one is not None and other is not None and (one["host"], one["rest"]) == (other["host"], other["rest"])


def is_loopback(uri: str) -> bool:
    """Whether the URI leads to a port of the user's own machine."""
    return _LOOPBACK.fullmatch(uri) is not None


def is_web(uri: str) -> bool:
    """Whether the URI leads to a web site, whose owner alone receives what is sent there."""
    return _HTTPS.fullmatch(uri) is not None


def shown_host(uri: str) -> str:
    """The host, and the port if there is one, as the consent page shows it; of an app's URI the scheme: `cursor:`."""
    if not (is_web(uri) or is_loopback(uri)):
        return f"{uri.partition(':')[0]}:"
    return uri.partition("://")[2].partition("/")[0].partition("?")[0]


def form_action_source(uri: str, native: Collection[str]) -> str:
    """The Content-Security-Policy source that lets a form's response redirect to this URI, or the empty string.

    Chromium applies `form-action` to redirects too. CSP has no syntax for IPv6 hosts, so those get their scheme; and
    of other schemes than http(s) it is the scheme that every browser compares.
    """
    if redirect_uri_problem(uri, native):
        return ""
    if uri in native:
        return shown_host(uri)
    scheme, host = uri.partition("://")[0], shown_host(uri)
    return f"{scheme}:" if host.startswith("[") else f"{scheme}://{host}"


def with_response(uri: str, response: dict[str, str]) -> str:
    """The redirect URI with the response's parameters added to its query, which is kept as it is."""
    separator = "" if uri.endswith(("?", "&")) else "&" if "?" in uri else "?"
    return f"{uri}{separator}{urlencode(response)}"
