"""Session ids of the eras that have sessions, bound to their server and user without any state.

An id leaves the edge behind a MAC over server, user and id; one that comes back without the right MAC is unknown. So
nobody can use an id that another user, or another server, was given. A session never stands in for a token.
"""

from __future__ import annotations

import base64
import hmac
import re

_ID = re.compile(rb"[\x21-\x7e]{1,1024}")
_MAC_BYTES = 16
_MAC_TEXT = 22


def bound(key: bytes, server: str, subject: str, session: bytes) -> bytes | None:
    """The id that the client is given for the upstream's `session`; None when that has other than visible ASCII."""
    if not _ID.fullmatch(session):
        return None
    return _mac(key, server, subject, session) + b"." + session


def unbound(key: bytes, server: str, subject: str, given: bytes) -> bytes | None:
    """The upstream's id in what a client sent; None when it wasn't given to this subject for this server."""
    mac, session = given[:_MAC_TEXT], given[_MAC_TEXT + 1 :]
    if given[_MAC_TEXT : _MAC_TEXT + 1] != b"." or not _ID.fullmatch(session):
        return None
    return session if hmac.compare_digest(mac, _mac(key, server, subject, session)) else None


def _mac(key: bytes, server: str, subject: str, session: bytes) -> bytes:
    # Neither ids nor subjects hold NUL (both are checked where they come in), so the three parts have one reading.
    message = b"%b\0%b\0%b" % (server.encode(), subject.encode(), session)
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")[:_MAC_BYTES]).rstrip(b"=")
