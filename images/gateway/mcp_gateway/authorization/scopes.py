"""Scopes: there is one, `mcp`, which means the whole server that the token is for."""

from __future__ import annotations

from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.documents.edge import SCOPE

# Clients ask for it to get a refresh token, which they get without it (SEP-2207).
_IGNORED = frozenset({"offline_access"})


def granted_scope(requested: str) -> str:
    """The scope that a request gets; without one it is the default (RFC 6749 section 3.3).

    Raises:
        OAuthError: `invalid_scope`, for a scope that doesn't exist.
    """
    if unknown := set(requested.split()) - _IGNORED - {SCOPE}:
        shown = ", ".join(sorted(scope for scope in unknown if scope.isprintable()))[:200]
        raise OAuthError("invalid_scope", f"Unknown scope: {shown}")
    return SCOPE
