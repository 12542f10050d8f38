"""Dynamic client registration (RFC 7591): deprecated by MCP, and what most clients still use."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.client_names import shown_name
from mcp_gateway.authorization.clients import count_unused_clients
from mcp_gateway.authorization.errors import NO_STORE, OAuthError
from mcp_gateway.authorization.parameters import read_body
from mcp_gateway.authorization.redirect_uris import redirect_uri_problem
from mcp_gateway.control.live import Live
from mcp_gateway.documents.edge import SCOPE
from mcp_gateway.login.addresses import client_address
from mcp_gateway.login.attempts import RateLimit
from mcp_gateway.state.database import Database
from mcp_gateway.state.opaque import new_secret, secret_hash
from mcp_gateway.state.schema import clients

AUTH_METHODS: Final = ("none", "client_secret_basic", "client_secret_post")
"""How a client may authenticate; `none` is the public client, bound by PKCE."""

GRANT_TYPES: Final = ("authorization_code", "refresh_token")

MOST_UNUSED: Final = 10_000
"""Clients that may be registered without ever being used, before registration pauses."""

_MOST_REDIRECT_URIS: Final = 10


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """What a client asks for, with what isn't supported left out (RFC 7591 section 2)."""

    name: str
    redirect_uris: tuple[str, ...]
    auth_method: str
    grant_types: tuple[str, ...]
    scope: str
    application_type: str


def parse_registration(body: bytes, native: Collection[str]) -> RegistrationRequest:
    """Check client metadata; `native` are the redirect URIs with a private-use scheme that the stack lists.

    Raises:
        OAuthError: `invalid_redirect_uri` or `invalid_client_metadata` (RFC 7591 section 3.2.2).
    """
    try:
        metadata = json.loads(body)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise OAuthError("invalid_client_metadata", "The body must be a JSON object")
    auth_method = metadata.get("token_endpoint_auth_method") or "client_secret_basic"
    if auth_method not in AUTH_METHODS:
        raise OAuthError(
            "invalid_client_metadata", f"token_endpoint_auth_method must be one of {', '.join(AUTH_METHODS)}"
        )
    grant_types = _strings(metadata, "grant_types", ["authorization_code"])
    if "authorization_code" not in grant_types:
        raise OAuthError("invalid_client_metadata", "grant_types must contain authorization_code")
    if "code" not in _strings(metadata, "response_types", ["code"]):
        raise OAuthError("invalid_client_metadata", "response_types must contain code")
    application_type = metadata.get("application_type") or "native"
    if application_type not in {"native", "web"}:
        raise OAuthError("invalid_client_metadata", "application_type must be native or web")
    name = metadata.get("client_name") or ""
    if not isinstance(name, str):
        raise OAuthError("invalid_client_metadata", "client_name must be a string")
    return RegistrationRequest(
        name=shown_name(name) or "Unnamed application",
        redirect_uris=_redirect_uris(metadata, native),
        auth_method=auth_method,
        grant_types=tuple(grant for grant in GRANT_TYPES if grant in grant_types),
        # Whatever scopes it asks for, there is one to be had (RFC 7591 section 2: the server may replace metadata).
        scope=SCOPE,
        application_type=application_type,
    )


def _redirect_uris(metadata: Mapping[str, object], native: Collection[str]) -> tuple[str, ...]:
    uris = metadata.get("redirect_uris")
    if not isinstance(uris, list) or not 1 <= len(uris) <= _MOST_REDIRECT_URIS:
        raise OAuthError("invalid_redirect_uri", f"redirect_uris must be a list of 1 to {_MOST_REDIRECT_URIS} URIs")
    for index, uri in enumerate(uris):
        problem = redirect_uri_problem(uri, native) if isinstance(uri, str) else "must be a string"
        if problem:
            raise OAuthError("invalid_redirect_uri", f"redirect_uris[{index}] {problem}")
    return tuple(dict.fromkeys(uris))


def _strings(metadata: Mapping[str, object], name: str, default: list[str]) -> list[str]:
    value = metadata.get(name) or default
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise OAuthError("invalid_client_metadata", f"{name} must be a list of strings")
    return value


@dataclass
class RegistrationHandler:
    """`POST /oauth/register`."""

    live: Live
    database: Database
    audit: AuditLog
    clock: Callable[[], float]
    limit: RateLimit = field(default_factory=lambda: RateLimit(burst=60, per_second=0.1))

    async def handle(self, request: Request) -> Response:
        """Register a client."""
        registration = self.live.current.registration
        if not registration.dynamic:
            return Response(status_code=404)
        address = client_address(request)
        if (wait := self.limit.take(address, self.clock())) > 0:
            error = OAuthError("invalid_client_metadata", "Too many registrations from this address", 429)
            response = error.response()
            response.headers["Retry-After"] = str(int(wait) + 1)
            return response
        try:
            body = await read_body(request, "application/json")
            wanted = parse_registration(body, registration.native_redirect_uris)
            answer = await run_in_threadpool(self._register, wanted)
        except OAuthError as error:
            return error.response()
        self.audit.record(
            "client-registered",
            client=str(answer["client_id"]),
            name=wanted.name,
            address=address,
            redirectUris=" ".join(wanted.redirect_uris),
        )
        return JSONResponse(answer, 201, dict(NO_STORE))

    def _register(self, wanted: RegistrationRequest) -> dict[str, object]:
        with self.database.begin() as db:
            if count_unused_clients(db, MOST_UNUSED) >= MOST_UNUSED:
                raise OAuthError("invalid_client_metadata", "Too many clients are registered: try again tomorrow", 503)
            return register_client(db, wanted, int(self.clock()))


def register_client(db: Connection, wanted: RegistrationRequest, now: int) -> dict[str, object]:
    """Record the client and return the response (RFC 7591 section 3.2.1). Its secret is kept as a hash only."""
    client_id = f"client-{new_secret()}"
    secret = None if wanted.auth_method == "none" else new_secret()
    db.execute(
        clients.insert().values(
            id=client_id,
            name=wanted.name,
            redirect_uris=list(wanted.redirect_uris),
            auth_method=wanted.auth_method,
            secret_hash=None if secret is None else secret_hash(secret),
            grant_types=list(wanted.grant_types),
            created_at=now,
        )
    )
    answer: dict[str, object] = {
        "client_id": client_id,
        "client_id_issued_at": now,
        "client_name": wanted.name,
        "redirect_uris": list(wanted.redirect_uris),
        "token_endpoint_auth_method": wanted.auth_method,
        "grant_types": list(wanted.grant_types),
        "response_types": ["code"],
        "scope": wanted.scope,
        "application_type": wanted.application_type,
    }
    return answer if secret is None else answer | {"client_secret": secret, "client_secret_expires_at": 0}
