"""What clients discover: protected resources (RFC 9728), the authorization server (RFC 8414), its keys (RFC 7517).

Every URL comes from the configuration, never from a header of the request.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_gateway.authorization.registration import AUTH_METHODS, GRANT_TYPES
from mcp_gateway.control.live import Live
from mcp_gateway.documents.edge import SCOPE
from mcp_gateway.documents.gateway import GatewayDocument, Server

_CACHED = {"Cache-Control": "public, max-age=60"}


def resource_metadata(document: GatewayDocument, server: Server) -> dict[str, object]:
    """The metadata of one server (RFC 9728 section 2)."""
    return {
        "resource": document.resource(server),
        "authorization_servers": [document.public_url],
        "scopes_supported": [SCOPE],
        "bearer_methods_supported": ["header"],
        "resource_name": server.name,
    }


def server_metadata(document: GatewayDocument) -> dict[str, object]:
    """The metadata of the authorization server (RFC 8414 section 2)."""
    base = document.public_url
    metadata: dict[str, object] = {
        "issuer": base,
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "jwks_uri": f"{base}/oauth/jwks",
        "scopes_supported": [SCOPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "code_challenge_methods_supported": ["S256"],
        # RFC 9207 section 3
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": document.registration.metadata_documents,
    }
    if document.registration.dynamic:
        metadata["registration_endpoint"] = f"{base}/oauth/register"
    return metadata


@dataclass
class MetadataHandler:
    """The `/.well-known/` paths and `/oauth/jwks`."""

    live: Live

    async def resource(self, request: Request) -> Response:
        """`/.well-known/oauth-protected-resource/mcp-connect/<id>`; there is none for the gateway's root."""
        document = self.live.current
        server = document.server(request.path_params["server"])
        if server is None:
            return JSONResponse({"error": "not_found"}, 404)
        return JSONResponse(resource_metadata(document, server), headers=_CACHED)

    async def server(self, request: Request) -> Response:
        """`/.well-known/oauth-authorization-server`."""
        return JSONResponse(server_metadata(self.live.current), headers=_CACHED)

    async def keys(self, request: Request) -> Response:
        """`/oauth/jwks`: the public keys."""
        return JSONResponse({"keys": [dict(key.public) for key in self.live.keys]}, headers=_CACHED)
