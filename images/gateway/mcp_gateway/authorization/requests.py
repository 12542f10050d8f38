"""Reads an authorization request (OAuth 2.1 section 4.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mcp_gateway.authorization.codes import check_challenge
from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.authorization.resources import normal_resource
from mcp_gateway.authorization.scopes import granted_scope

KNOWN: Final = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "scope",
    "code_challenge",
    "code_challenge_method",
]
"""The parameters that may be given once only. `resource` may be repeated by RFC 8707, which has its own error."""

_LONGEST_STATE: Final = 4096


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What the client asks for, once its client id and redirect URI are known to belong together."""

    challenge: str
    resource: str
    scope: str


def parse_authorization_request(parameters: Parameters) -> AuthorizationRequest:
    """Check everything but client, redirect URI and whether the user may use the resource.

    Raises:
        OAuthError: to be told to the client by a redirect (RFC 6749 section 4.1.2.1).
    """
    response_type = parameters.required("response_type")
    if response_type != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    if parameters.get("response_mode") not in {"", "query"}:
        raise OAuthError("invalid_request", "response_mode must be query")
    if len(parameters.get("state")) > _LONGEST_STATE:
        raise OAuthError("invalid_request", f"state is longer than {_LONGEST_STATE} characters")
    check_challenge(parameters.get("code_challenge"), parameters.get("code_challenge_method"))
    scope = granted_scope(parameters.get("scope"))
    if "resource" in parameters.repeated():
        raise OAuthError("invalid_target", "A token is for one resource: give resource once")
    resource = parameters.get("resource")
    if not resource:
        # Without it there would have to be a token for every server.
        raise OAuthError("invalid_target", "resource is missing: name the MCP server that the token is for")
    return AuthorizationRequest(parameters.get("code_challenge"), normal_resource(resource), scope)
