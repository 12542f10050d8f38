"""The start page: the servers that the user may use, and how to connect to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_gateway.control.live import Live
from mcp_gateway.login.form_tokens import FormTokens
from mcp_gateway.login.visitors import Visitors
from mcp_gateway.portal.pages import Pages


@dataclass
class StartHandler:
    """`GET /`."""

    live: Live
    visitors: Visitors
    forms: FormTokens
    pages: Pages
    clock: Callable[[], float]

    async def handle(self, request: Request) -> Response:
        """The page, or sign-in."""
        session = await self.visitors.session(request)
        if session is None:
            return RedirectResponse("/sign-in", 303, {"Cache-Control": "no-store"})
        document = self.live.current
        user = document.user(session.account.login)
        usable = [
            {"server": server, "url": document.resource(server)}
            for server in document.servers
            if user is not None and server.access.admits(user)
        ]
        return self.pages.render(
            "start",
            account=session.account,
            servers=usable,
            sign_out_token=self.forms.make("sign-out", session.secret, self.clock()),
        )
