"""OAuth errors, as the specifications name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.responses import JSONResponse

ErrorCode = Literal[
    # RFC 6749 sections 4.1.2.1 and 5.2
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "invalid_scope",
    "access_denied",
    # RFC 8707 section 2
    "invalid_target",
    # RFC 7591 section 3.2.2
    "invalid_redirect_uri",
    "invalid_client_metadata",
    # RFC 7009 section 2.2.1
    "unsupported_token_type",
]

NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""What every response that carries a token or a credential has (RFC 6749 section 5.1)."""


@dataclass(eq=False)
class OAuthError(Exception):
    """An error to tell the client; the description is for the developer who reads it."""

    code: ErrorCode
    description: str
    status: int = 400
    challenge: str | None = None

    def response(self) -> JSONResponse:
        """The error as JSON (RFC 6749 section 5.2)."""
        headers = dict(NO_STORE) | ({"WWW-Authenticate": self.challenge} if self.challenge else {})
        content = {"error": self.code, "error_description": self.description}
        return JSONResponse(content, self.status, headers)
