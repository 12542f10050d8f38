"""Who is at the other end of a page's request: a signed-in user, or a browser that isn't signed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mcp_gateway.control.live import Live
from mcp_gateway.login.sessions import SESSION_COOKIE, BrowserSession, CookieRules, find_session
from mcp_gateway.state.database import Database


@dataclass
class Visitors:
    """Reads the session cookie."""

    live: Live
    database: Database
    clock: Callable[[], float]

    @property
    def cookies(self) -> CookieRules:
        """How cookies are set at this gateway's public URL."""
        return CookieRules.for_public_url(self.live.current.public_url)

    async def session(self, request: Request) -> BrowserSession | None:
        """The signed-in session, if there is one and its user is still declared."""
        secret = self.cookies.read(request, SESSION_COOKIE)
        session = await run_in_threadpool(self._find, secret) if secret else None
        return session if session and self.live.current.user(session.account.login) else None

    def _find(self, secret: str) -> BrowserSession | None:
        with self.database.begin() as db:
            return find_session(db, secret, int(self.clock()))
