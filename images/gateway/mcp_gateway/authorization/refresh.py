"""Refresh tokens: opaque, rotated at each use; one that is used twice revokes its whole family."""

from __future__ import annotations

from sqlalchemy import Connection, select

from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.grants import Grant, find_grant, revoke_grants
from mcp_gateway.state.opaque import new_secret, secret_hash
from mcp_gateway.state.schema import grants, refresh_tokens


def issue_refresh_token(db: Connection, grant: Grant) -> str:
    """Make the grant's next refresh token; only its hash is kept. It lives as long as the grant."""
    token = new_secret()
    db.execute(refresh_tokens.insert().values(hash=secret_hash(token), grant_id=grant.id, expires_at=grant.expires_at))
    return token


def use_refresh_token(db: Connection, token: str, client_id: str, now: int) -> Grant | OAuthError:
    """Use up a refresh token: its grant, or the error to answer.

    The error is returned rather than raised, because the revocation must be committed. A second use means that two
    parties hold the token, and nobody can tell which is the thief (OAuth 2.1 section 4.3.1).
    """
    row = db.execute(select(refresh_tokens).where(refresh_tokens.c.hash == secret_hash(token))).first()
    if row is None or row.expires_at <= now:
        return OAuthError("invalid_grant", "The refresh token is unknown or has expired")
    grant = find_grant(db, row.grant_id)
    if grant.client_id != client_id:
        return OAuthError("invalid_grant", "The refresh token was issued to another client")
    if grant.revoked:
        return OAuthError("invalid_grant", "The grant is revoked")
    used = db.execute(
        refresh_tokens.update()
        .where(refresh_tokens.c.hash == row.hash, refresh_tokens.c.used_at.is_(None))
        .values(used_at=now)
    )
    if used.rowcount != 1:
        revoke_grants(db, grants.c.id == grant.id, now)
        return OAuthError("invalid_grant", "The refresh token has been used: everything granted with it is revoked")
    return grant


def find_refresh_grant(db: Connection, token: str) -> Grant | None:
    """The grant of a refresh token, used or not."""
    grant_id = db.execute(select(refresh_tokens.c.grant_id).where(refresh_tokens.c.hash == secret_hash(token))).scalar()
    return None if grant_id is None else find_grant(db, grant_id)
