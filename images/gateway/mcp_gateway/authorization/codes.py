"""Authorization codes: short-lived, single use, bound to client, redirect URI, challenge and resource."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

from sqlalchemy import Connection, select

from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.grants import Grant, find_grant, revoke_grants
from mcp_gateway.state.opaque import new_secret, secret_hash
from mcp_gateway.state.schema import authorization_codes, grants

_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
_CHALLENGE = re.compile(r"[A-Za-z0-9\-_]{43}")


@dataclass(frozen=True, slots=True)
class Redemption:
    """What a client sends to redeem a code."""

    code: str
    client_id: str
    redirect_uri: str
    verifier: str
    resource: str
    """The resource indicator in its normal form, or the empty string: then the code's own counts."""


def _s256(verifier: str) -> str:
    # RFC 7636 section 4.2
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def check_challenge(challenge: str, method: str) -> None:
    """Require PKCE with S256 (OAuth 2.1 section 7.5.2). Raises OAuthError `invalid_request`."""
    if not challenge:
        raise OAuthError("invalid_request", "code_challenge is missing: PKCE is required")
    # RFC 7636 section 4.3: without a method the challenge is `plain`, which anyone who sees the request can redeem.
    if method != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "code_challenge is not the base64url encoding of a SHA-256 digest")


def issue_code(
    db: Connection, grant_id: str, *, redirect_uri: str, challenge: str, refresh: bool, now: int, seconds: int
) -> str:
    """Make a code for a grant; only its hash is kept."""
    code = new_secret()
    db.execute(
        authorization_codes.insert().values(
            hash=secret_hash(code),
            grant_id=grant_id,
            redirect_uri=redirect_uri,
            challenge=challenge,
            refresh=refresh,
            expires_at=now + seconds,
        )
    )
    return code


def redeem_code(db: Connection, wanted: Redemption, now: int) -> tuple[Grant, bool] | OAuthError:
    """The grant of a code and whether it may be refreshed, or the error to answer.

    The error is returned rather than raised, because a replay's revocation must be committed. A code that is used a
    second time revokes everything that came of it (OAuth 2.1 section 4.1.3).
    """
    row = db.execute(select(authorization_codes).where(authorization_codes.c.hash == secret_hash(wanted.code))).first()
    if row is None:
        return OAuthError("invalid_grant", "The code is unknown or has expired")
    grant = find_grant(db, row.grant_id)
    if row.used_at is not None:
        revoke_grants(db, grants.c.id == grant.id, now)
        return OAuthError("invalid_grant", "The code has been used: everything granted by it is revoked")
    if row.expires_at <= now or grant.revoked:
        return OAuthError("invalid_grant", "The code is unknown or has expired")
    if grant.client_id != wanted.client_id:
        return OAuthError("invalid_grant", "The code was issued to another client")
    if row.redirect_uri != wanted.redirect_uri:
        return OAuthError("invalid_grant", "redirect_uri differs from that of the authorization request")
    if not _VERIFIER.fullmatch(wanted.verifier) or not hmac.compare_digest(_s256(wanted.verifier), row.challenge):
        return OAuthError("invalid_grant", "code_verifier doesn't fit the code_challenge")
    if wanted.resource and wanted.resource != grant.resource:
        return OAuthError("invalid_target", "resource differs from that of the authorization request")
    used = db.execute(
        authorization_codes.update()
        .where(authorization_codes.c.hash == row.hash, authorization_codes.c.used_at.is_(None))
        .values(used_at=now)
    )
    if used.rowcount != 1:
        revoke_grants(db, grants.c.id == grant.id, now)
        return OAuthError("invalid_grant", "The code has been used: everything granted by it is revoked")
    return grant, row.refresh
