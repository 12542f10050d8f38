"""The account page: what the user has allowed applications, where they are signed in, and ending either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.grants import Grant, forget_client, list_grants
from mcp_gateway.authorization.parameters import Parameters, read_form
from mcp_gateway.control.feed import EdgeFeed
from mcp_gateway.control.live import Live
from mcp_gateway.login.addresses import client_address
from mcp_gateway.login.form_tokens import FormTokens
from mcp_gateway.login.sessions import BrowserSession, SessionSummary, end_session, list_sessions
from mcp_gateway.login.visitors import Visitors
from mcp_gateway.portal.pages import Pages
from mcp_gateway.state.database import Database

_PURPOSE = "account"


@dataclass
class AccountHandler:
    """`/account` and the two actions on it."""

    live: Live
    database: Database
    feed: EdgeFeed
    visitors: Visitors
    forms: FormTokens
    pages: Pages
    audit: AuditLog
    clock: Callable[[], float]

    async def page(self, request: Request) -> Response:
        """`GET /account`."""
        session = await self.visitors.session(request)
        if session is None:
            return RedirectResponse("/sign-in?onward=%2Faccount", 303, {"Cache-Control": "no-store"})
        grants, sessions = await run_in_threadpool(self._load, session)
        document = self.live.current
        by_client = groupby(sorted(grants, key=lambda grant: grant.client_id), key=lambda grant: grant.client_id)
        applications = [
            {
                "id": client_id,
                "name": group[0].client_name,
                "since": min(grant.created_at for grant in group),
                "servers": sorted({server.name for grant in group if (server := document.server_at(grant.resource))}),
            }
            for client_id, group in ((client_id, list(found)) for client_id, found in by_client)
        ]
        return self.pages.render(
            "account",
            account=session.account,
            applications=applications,
            sessions=sessions,
            this_session=session.id,
            form_token=self.forms.make(_PURPOSE, session.secret, self.clock()),
            sign_out_token=self.forms.make("sign-out", session.secret, self.clock()),
        )

    def _load(self, session: BrowserSession) -> tuple[list[Grant], list[SessionSummary]]:
        now = int(self.clock())
        with self.database.begin() as db:
            return list_grants(db, session.account.subject, now), list_sessions(db, session.account.subject, now)

    async def forget_application(self, request: Request) -> Response:
        """`POST /account/applications/forget`: the application's tokens end at once."""
        checked = await self._checked(request)
        if isinstance(checked, Response):
            return checked
        session, form = checked
        client_id = form.get("client_id")

        def forget() -> None:
            with self.database.begin() as db:
                forget_client(db, session.account.subject, client_id, int(self.clock()))

        await run_in_threadpool(forget)
        await self.feed.refresh()
        self.audit.record(
            "grant-revoked", by="user", login=session.account.login, client=client_id, address=client_address(request)
        )
        return RedirectResponse("/account", 303, {"Cache-Control": "no-store"})

    async def end_session(self, request: Request) -> Response:
        """`POST /account/sessions/end`."""
        checked = await self._checked(request)
        if isinstance(checked, Response):
            return checked
        session, form = checked

        def end() -> None:
            with self.database.begin() as db:
                end_session(db, session.account.subject, form.get("session"))

        await run_in_threadpool(end)
        self.audit.record("session-ended", login=session.account.login, address=client_address(request))
        return RedirectResponse("/account", 303, {"Cache-Control": "no-store"})

    async def _checked(self, request: Request) -> tuple[BrowserSession, Parameters] | Response:
        try:
            form = await read_form(request)
        except OAuthError as error:
            return self.pages.error(error.status, "The form is not valid", f"{error.description}.")
        session = await self.visitors.session(request)
        if session is None or self.forms.read(form.get("form_token"), _PURPOSE, session.secret, self.clock()) is None:
            return self.pages.error(403, "This page has expired", "Load the account page again.")
        return session, form
