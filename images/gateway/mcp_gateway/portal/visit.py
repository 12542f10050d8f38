"""A signed-in user's request to the portal: who asks, which server they mean, and whether a form is theirs.

Whose values, instance or data an action is about is the signed-in session's user and nothing else; a form never names a
user, except an administrator's. A server that the user may not use answers like one that isn't there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.parameters import Parameters, read_form
from mcp_gateway.control.feed import EdgeFeed
from mcp_gateway.control.live import Live
from mcp_gateway.documents.gateway import GatewayDocument, Server, User
from mcp_gateway.instances.service import Instances
from mcp_gateway.login.addresses import client_address
from mcp_gateway.login.form_tokens import FormTokens
from mcp_gateway.login.sessions import SESSION_SECONDS, BrowserSession
from mcp_gateway.login.visitors import Visitors
from mcp_gateway.portal.background import Background
from mcp_gateway.portal.pages import Pages
from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import Envelope

LIVE_HEADER: Final = "x-live"
"""Sent by the page's script when it asks what the page says now."""

_NOTICE_COOKIE: Final = "mcp-notice"
_NO_STORE: Final = {"Cache-Control": "no-store"}

PageHandler = Callable[["Visit"], Awaitable[Response]]
FormHandler = Callable[["Visit", Parameters], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass
class Portal:
    """What the portal's pages are made of, and the entrance to each of them."""

    live: Live
    database: Database
    envelope: Envelope
    feed: EdgeFeed
    visitors: Visitors
    forms: FormTokens
    pages: Pages
    audit: AuditLog
    instances: Instances
    clock: Callable[[], float]
    background: Background = field(default_factory=Background)

    def page(self, handler: PageHandler, *, admin: bool = False) -> Endpoint:
        """A page for who is signed in; others sign in first and come back to it."""

        async def endpoint(request: Request) -> Response:
            visit = await self._visit(request)
            if visit is None:
                return RedirectResponse(f"/sign-in{_onward(request.url.path)}", 303, _NO_STORE)
            if admin:
                visit.require_admin()
            return await handler(visit)

        return endpoint

    def form(self, handler: FormHandler, purpose: str = "portal", *, admin: bool = False) -> Endpoint:
        """An action by a form that was made for this very browser session."""

        async def endpoint(request: Request) -> Response:
            visit = await self._visit(request)
            if visit is not None and admin:
                visit.require_admin()
            try:
                form = await read_form(request)
            except OAuthError as error:
                return self.pages.error(error.status, "The form is not valid", f"{error.description}.")
            if visit is None or not visit.made(form.get("form_token"), purpose):
                return self.pages.error(403, "This page has expired", "Nothing was changed. Load the page again.")
            return await handler(visit, form)

        return endpoint

    async def _visit(self, request: Request) -> Visit | None:
        session = await self.visitors.session(request)
        document = self.live.current
        user = document.user(session.account.login) if session else None
        return Visit(self, request, session, user, document) if session and user else None


@dataclass(frozen=True)
class Visit:
    """One request of a signed-in user, by the document that was in force when it came."""

    portal: Portal
    request: Request
    session: BrowserSession
    user: User
    document: GatewayDocument

    @property
    def subject(self) -> str:
        """The signed-in user's id."""
        return self.session.account.subject

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return int(self.portal.clock())

    def servers(self) -> list[Server]:
        """The servers that the user may use, in the stack's order."""
        return [server for server in self.document.servers if server.access.admits(self.user)]

    def server(self) -> Server:
        """The server that the path names. Raises HTTPException 404, also when the user may not use it."""
        server = self.document.server(self.request.path_params["server"])
        if server is None or not server.access.admits(self.user):
            raise HTTPException(404)
        return server

    def require_admin(self) -> None:
        """Raise HTTPException 404 unless the stack declares this user an administrator."""
        if not self.user.admin:
            raise HTTPException(404)

    def made(self, token: str, purpose: str) -> bool:
        """Whether a form token is from a page that this browser session was shown, for this purpose."""
        portal = self.portal
        return portal.forms.read(token, purpose, self.session.secret, portal.clock()) is not None

    def token(self, purpose: str = "portal") -> str:
        """A form token. It lives as long as a session: who fetches a key elsewhere first needs more than minutes."""
        portal = self.portal
        return portal.forms.make(purpose, self.session.secret, portal.clock(), seconds=SESSION_SECONDS)

    def record(self, event: str, **details: str | int | bool | None) -> None:
        """Write what this user did to the audit."""
        by = {"login": self.user.login, "subject": self.subject, "address": client_address(self.request)}
        self.portal.audit.record(event, **{**by, **details})

    def render(self, template: str, *, status: int = 200, form_token: str | None = None, **content: object) -> Response:
        """A page, with what the last action had to say, once."""
        cookies, notice = self.portal.visitors.cookies, None
        if kept := cookies.read(self.request, _NOTICE_COOKIE):
            notice = self.portal.forms.read(kept, "notice", self.session.secret, self.portal.clock())
        response = self.portal.pages.render(
            template,
            status=status,
            form_targets=(),
            scripted=True,
            account=self.session.account,
            admin=self.user.admin,
            notice=notice,
            form_token=form_token or self.token(),
            sign_out_token=self.token("sign-out"),
            **content,
        )
        if kept and LIVE_HEADER not in self.request.headers:
            cookies.clear(response, _NOTICE_COOKIE)
        return response

    def back(self, path: str, text: str, kind: str = "done") -> Response:
        """To a page that says `text` first: it travels in a signed cookie, because a URL can be made by anyone.

        `kind` is `done` or `problem`.
        """
        response = RedirectResponse(path, 303, _NO_STORE)
        portal = self.portal
        notice = portal.forms.make("notice", self.session.secret, portal.clock(), text=text[:1000], kind=kind)
        portal.visitors.cookies.set(response, _NOTICE_COOKIE, notice)
        return response


def _onward(path: str) -> str:
    return "" if path == "/" else f"?onward={quote(path, safe='')}"
