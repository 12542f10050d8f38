"""The token endpoint (OAuth 2.1 section 3.2): codes and refresh tokens become access tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.access_tokens import issue_access_token
from mcp_gateway.authorization.clients import (
    ClientCredentials,
    authenticate,
    mark_client_used,
    presented_credentials,
)
from mcp_gateway.authorization.codes import Redemption, redeem_code
from mcp_gateway.authorization.errors import NO_STORE, OAuthError
from mcp_gateway.authorization.grants import Grant, mark_used, revoke_grants
from mcp_gateway.authorization.parameters import Parameters, read_form
from mcp_gateway.authorization.refresh import find_refresh_grant, issue_refresh_token, use_refresh_token
from mcp_gateway.authorization.resources import normal_resource
from mcp_gateway.authorization.scopes import granted_scope
from mcp_gateway.control.feed import EdgeFeed
from mcp_gateway.control.live import Live
from mcp_gateway.login.addresses import client_address
from mcp_gateway.state.database import Database
from mcp_gateway.state.schema import grants

_KNOWN = [
    "grant_type",
    "code",
    "redirect_uri",
    "client_id",
    "client_secret",
    "code_verifier",
    "resource",
    "scope",
    "refresh_token",
]


@dataclass
class TokenHandler:
    """`POST /oauth/token`."""

    live: Live
    database: Database
    feed: EdgeFeed
    audit: AuditLog
    clock: Callable[[], float]

    async def handle(self, request: Request) -> Response:
        """Answer with tokens, or with an error as JSON."""
        try:
            form = await read_form(request)
            form.refuse_repeated(_KNOWN)
            grant_type = form.required("grant_type")
            if grant_type not in {"authorization_code", "refresh_token"}:
                raise OAuthError("unsupported_grant_type", "Offered are authorization_code and refresh_token")
            credentials = presented_credentials(request.headers.get("authorization"), form)
            outcome = await run_in_threadpool(self._exchange, grant_type, credentials, form)
        except OAuthError as error:
            outcome = error
        address = client_address(request)
        if isinstance(outcome, OAuthError):
            self.audit.record("token-refused", error=outcome.code, reason=outcome.description, address=address)
            # A replay revoked tokens: the edge has to know before the answer does.
            await self.feed.refresh()
            return outcome.response()
        grant, answer = outcome
        self.audit.record(
            "token-issued",
            grant=grant.id,
            by=grant_type,
            login=grant.login,
            subject=grant.subject,
            client=grant.client_id,
            resource=grant.resource,
            address=address,
        )
        return JSONResponse(answer, headers=dict(NO_STORE))

    def _exchange(
        self, grant_type: str, credentials: ClientCredentials, form: Parameters
    ) -> tuple[Grant, dict[str, object]] | OAuthError:
        now = int(self.clock())
        with self.database.begin() as db:
            authenticate(db, credentials)
            if grant_type == "authorization_code":
                outcome = self._redeem(db, credentials.client_id, form, now)
            else:
                outcome = self._refresh(db, credentials.client_id, form, now)
            if isinstance(outcome, OAuthError):
                return outcome
            grant, refreshable = outcome
            document = self.live.current
            # The stack may have changed since the user consented.
            if document.usable_server(grant.resource, grant.login) is None:
                revoke_grants(db, grants.c.id == grant.id, now)
                return OAuthError("invalid_grant", "The user may not use this resource any more")
            mark_used(db, grant.id, now)
            mark_client_used(db, grant.client_id, now)
            seconds = document.tokens.access_seconds
            token = issue_access_token(
                db, grant, issuer=document.public_url, keys=self.live.keys, now=now, seconds=seconds
            )
            answer: dict[str, object] = {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": seconds,
                "scope": grant.scope,
            }
            if refreshable:
                answer["refresh_token"] = issue_refresh_token(db, grant)
            return grant, answer

    def _redeem(self, db: Connection, client_id: str, form: Parameters, now: int) -> tuple[Grant, bool] | OAuthError:
        resource = form.get("resource")
        return redeem_code(
            db,
            Redemption(
                code=form.required("code"),
                client_id=client_id,
                redirect_uri=form.required("redirect_uri"),
                verifier=form.required("code_verifier"),
                resource=normal_resource(resource) if resource else "",
            ),
            now,
        )

    def _refresh(self, db: Connection, client_id: str, form: Parameters, now: int) -> tuple[Grant, bool] | OAuthError:
        token, resource = form.required("refresh_token"), form.get("resource")
        # Neither may be widened by a refresh (RFC 6749 section 6, RFC 8707 section 2.2); checked before the token is
        # used up, so that a mistaken request doesn't cost the client its grant.
        granted_scope(form.get("scope"))
        wanted = normal_resource(resource) if resource else ""
        if wanted:
            held = find_refresh_grant(db, token)
            if held is not None and held.resource != wanted:
                return OAuthError("invalid_target", "resource differs from that of the grant")
        outcome = use_refresh_token(db, token, client_id, now)
        return outcome if isinstance(outcome, OAuthError) else (outcome, True)
