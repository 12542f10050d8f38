"""Access tokens: JWTs for one resource (RFC 9068, RFC 8707), as docs/contracts.md section 3 has them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import Connection

from mcp_gateway.authorization.grants import Grant
from mcp_gateway.state.schema import access_tokens
from mcp_gateway.state.signing_keys import SigningKey, active_key


def issue_access_token(
    db: Connection, grant: Grant, *, issuer: str, keys: Sequence[SigningKey], now: int, seconds: int
) -> str:
    """Sign a token for the grant's resource and record its id, so that it can be revoked before it expires."""
    key, token_id = active_key(keys, now), str(uuid.uuid4())
    db.execute(access_tokens.insert().values(id=token_id, grant_id=grant.id, expires_at=now + seconds))
    claims = {
        "iss": issuer,
        "aud": grant.resource,
        "sub": grant.subject,
        "client_id": grant.client_id,
        "jti": token_id,
        "iat": now,
        "nbf": now,
        "exp": now + seconds,
        "scope": grant.scope,
        "fam": grant.id,
    }
    return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": key.id}, claims, key.private)


def own_token_ids(token: str, keys: Sequence[SigningKey]) -> tuple[str, str] | None:
    """The token id and the grant id of a token that these keys signed, expired or not; else None."""
    try:
        claims = jwt.decode(
            token, KeySet([ECKey.import_key(dict(key.public)) for key in keys]), algorithms=["ES256"]
        ).claims
        return str(claims["jti"]), str(claims["fam"])
    except (JoseError, ValueError, KeyError):
        return None
