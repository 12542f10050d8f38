"""Consent: the page that asks the user, and what follows from the answer.

The page carries a signed ticket with everything that was asked, bound to the browser session (MCP "confused deputy"):
the answer can't come from another site, another browser, or for anything but what was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.clients import Client
from mcp_gateway.authorization.codes import issue_code
from mcp_gateway.authorization.consents import remember_consent
from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.grants import create_grant
from mcp_gateway.authorization.parameters import read_form
from mcp_gateway.authorization.redirect_uris import (
    form_action_source,
    is_loopback,
    is_web,
    redirect_uri_problem,
    shown_host,
    with_response,
)
from mcp_gateway.authorization.requests import AuthorizationRequest
from mcp_gateway.control.live import Live
from mcp_gateway.documents.gateway import Server
from mcp_gateway.login.addresses import client_address
from mcp_gateway.login.form_tokens import FormTokens
from mcp_gateway.login.sessions import BrowserSession
from mcp_gateway.login.visitors import Visitors
from mcp_gateway.portal.pages import Pages
from mcp_gateway.state.database import Database

_PURPOSE = "consent"


@dataclass
class ConsentHandler:
    """`POST /oauth/consent`, and the page whose form leads there."""

    live: Live
    database: Database
    visitors: Visitors
    forms: FormTokens
    pages: Pages
    audit: AuditLog
    clock: Callable[[], float]

    def page(
        self,
        session: BrowserSession,
        client: Client,
        server: Server,
        redirect_uri: str,
        state: str,
        wanted: AuthorizationRequest,
    ) -> Response:
        """Ask the user."""
        ticket = self.forms.make(
            _PURPOSE,
            session.secret,
            self.clock(),
            client_id=client.id,
            client_name=client.name,
            redirect_uris_hash=client.redirect_uris_hash,
            redirect_uri=redirect_uri,
            state=state,
            challenge=wanted.challenge,
            resource=wanted.resource,
            scope=wanted.scope,
            refresh="yes" if client.refresh else "",
        )
        return self.pages.render(
            "consent",
            form_targets=[form_action_source(redirect_uri, self.live.current.registration.native_redirect_uris)],
            client=client,
            server=server,
            account=session.account,
            scope=wanted.scope,
            redirect_uri=redirect_uri,
            redirect_host=shown_host(redirect_uri),
            loopback=is_loopback(redirect_uri),
            native=not (is_web(redirect_uri) or is_loopback(redirect_uri)),
            only_loopback=all(is_loopback(uri) for uri in client.redirect_uris),
            ticket=ticket,
            sign_out_token=self.forms.make("sign-out", session.secret, self.clock()),
        )

    async def handle(self, request: Request) -> Response:
        """Act on the user's answer."""
        try:
            form = await read_form(request)
        except OAuthError as error:
            return self.pages.error(error.status, "The form is not valid", f"{error.description}.")
        session = await self.visitors.session(request)
        ticket = session and self.forms.read(form.get("ticket"), _PURPOSE, session.secret, self.clock())
        if session is None or not ticket:
            return self.pages.error(
                403, "This page has expired", "Go back to the application and connect again to get a new one."
            )
        if redirect_uri_problem(ticket["redirect_uri"], self.live.current.registration.native_redirect_uris):
            return self.pages.error(
                400, "The application's request can't be granted", "Its redirect URI is not accepted here any more."
            )
        if form.get("decision") != "allow":
            self.audit.record(
                "consent-denied",
                login=session.account.login,
                subject=session.account.subject,
                client=ticket["client_id"],
                resource=ticket["resource"],
                address=client_address(request),
            )
            denied = {"error": "access_denied", "error_description": "The user did not allow it"}
            return self._back(ticket["redirect_uri"], ticket["state"], denied)
        if self.live.current.usable_server(ticket["resource"], session.account.login) is None:
            gone = {"error": "invalid_target", "error_description": "There is no such resource that this user may use"}
            return self._back(ticket["redirect_uri"], ticket["state"], gone)

        def remember() -> None:
            with self.database.begin() as db:
                remember_consent(
                    db,
                    session.account.subject,
                    client_id=ticket["client_id"],
                    redirect_uris_hash=ticket["redirect_uris_hash"],
                    resource=ticket["resource"],
                    scope=ticket["scope"],
                    now=int(self.clock()),
                )

        await run_in_threadpool(remember)
        self.audit.record(
            "consent-given",
            login=session.account.login,
            subject=session.account.subject,
            client=ticket["client_id"],
            name=ticket["client_name"],
            resource=ticket["resource"],
            redirectUri=ticket["redirect_uri"],
            address=client_address(request),
        )
        return await self.grant(
            request,
            session,
            client_id=ticket["client_id"],
            client_name=ticket["client_name"],
            redirect_uri=ticket["redirect_uri"],
            state=ticket["state"],
            challenge=ticket["challenge"],
            resource=ticket["resource"],
            scope=ticket["scope"],
            refresh=bool(ticket["refresh"]),
        )

    async def grant(
        self,
        request: Request,
        session: BrowserSession,
        *,
        client_id: str,
        client_name: str,
        redirect_uri: str,
        state: str,
        challenge: str,
        resource: str,
        scope: str,
        refresh: bool,
    ) -> Response:
        """Send the browser back with a code."""
        tokens = self.live.current.tokens

        def issue() -> str:
            now = int(self.clock())
            with self.database.begin() as db:
                grant_id = create_grant(
                    db,
                    subject=session.account.subject,
                    client_id=client_id,
                    client_name=client_name,
                    resource=resource,
                    scope=scope,
                    now=now,
                    seconds=tokens.refresh_seconds,
                )
                return issue_code(
                    db,
                    grant_id,
                    redirect_uri=redirect_uri,
                    challenge=challenge,
                    refresh=refresh,
                    now=now,
                    seconds=tokens.code_seconds,
                )

        code = await run_in_threadpool(issue)
        self.audit.record(
            "code-issued",
            login=session.account.login,
            subject=session.account.subject,
            client=client_id,
            resource=resource,
            address=client_address(request),
        )
        return self._back(redirect_uri, state, {"code": code})

    def _back(self, redirect_uri: str, state: str, response: dict[str, str]) -> Response:
        # RFC 9207: the issuer, so that a client that talks to several can't be confused.
        response = response | {"iss": self.live.current.public_url} | ({"state": state} if state else {})
        # 303, so that the form's content isn't sent along (RFC 9700 section 4.12).
        return RedirectResponse(
            with_response(redirect_uri, response), 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        )
