"""Token revocation (RFC 7009): a client gives back a token, and with it the whole grant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.access_tokens import own_token_ids
from mcp_gateway.authorization.clients import ClientCredentials, authenticate, presented_credentials
from mcp_gateway.authorization.errors import NO_STORE, OAuthError
from mcp_gateway.authorization.grants import Grant, find_grant, revoke_grants
from mcp_gateway.authorization.parameters import read_form
from mcp_gateway.authorization.refresh import find_refresh_grant
from mcp_gateway.control.feed import EdgeFeed
from mcp_gateway.control.live import Live
from mcp_gateway.login.addresses import client_address
from mcp_gateway.state.database import Database
from mcp_gateway.state.schema import grants


@dataclass
class RevocationHandler:
    """`POST /oauth/revoke`."""

    live: Live
    database: Database
    feed: EdgeFeed
    audit: AuditLog
    clock: Callable[[], float]

    async def handle(self, request: Request) -> Response:
        """Revoke; a token that isn't known is answered alike (RFC 7009 section 2.2)."""
        try:
            form = await read_form(request)
            form.refuse_repeated(["token", "token_type_hint", "client_id", "client_secret"])
            token = form.required("token")
            credentials = presented_credentials(request.headers.get("authorization"), form)
            grant = await run_in_threadpool(self._revoke, token, credentials)
        except OAuthError as error:
            return error.response()
        if grant is not None:
            await self.feed.refresh()
            self.audit.record(
                "grant-revoked",
                grant=grant.id,
                by="client",
                login=grant.login,
                client=grant.client_id,
                resource=grant.resource,
                address=client_address(request),
            )
        return Response(headers=dict(NO_STORE))

    def _revoke(self, token: str, credentials: ClientCredentials) -> Grant | None:
        with self.database.begin() as db:
            authenticate(db, credentials)
            grant = find_refresh_grant(db, token) or self._access_token_grant(db, token)
            if grant is None or grant.client_id != credentials.client_id:
                return None
            revoke_grants(db, grants.c.id == grant.id, int(self.clock()))
            return grant

    def _access_token_grant(self, db: Connection, token: str) -> Grant | None:
        ids = own_token_ids(token, self.live.keys)
        if ids is None or db.execute(select(grants.c.id).where(grants.c.id == ids[1])).first() is None:
            return None
        return find_grant(db, ids[1])
