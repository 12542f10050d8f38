"""The sign-in page, signing in and signing out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.authorization.errors import OAuthError
from mcp_gateway.authorization.parameters import read_form
from mcp_gateway.authorization.redirect_uris import form_action_source
from mcp_gateway.control.live import Live
from mcp_gateway.login.accounts import any_password_hash, find_account
from mcp_gateway.login.addresses import client_address
from mcp_gateway.login.attempts import AttemptLimit
from mcp_gateway.login.browser_names import browser_name
from mcp_gateway.login.form_tokens import FormTokens
from mcp_gateway.login.passwords import decoy_hash, password_matches
from mcp_gateway.login.sessions import (
    FORM_COOKIE,
    SESSION_COOKIE,
    BrowserSession,
    begin_session,
    end_session,
)
from mcp_gateway.login.visitors import Visitors
from mcp_gateway.portal.pages import Pages
from mcp_gateway.state.database import Database
from mcp_gateway.state.opaque import new_secret

AUTHORIZE_PATH = "/oauth/authorize"
_NO_STORE = {"Cache-Control": "no-store"}
_PAGE = re.compile(r"/account|/admin(/[a-z]+)?|/servers/[a-z0-9][a-z0-9._-]{0,62}(/delete)?")


def safe_onward(onward: str) -> str:
    """Where to go after signing in: an authorization request or a page of ours; anything else is the start page."""
    # Browsers drop tabs and line breaks from URLs and take a backslash for a slash.
    plain = onward.isascii() and onward.isprintable() and "\\" not in onward
    if plain and (onward.startswith(f"{AUTHORIZE_PATH}?") or _PAGE.fullmatch(onward)):
        return onward
    return "/"


def onward_form_target(onward: str, native: Collection[str]) -> str:
    """The CSP source of the client that an authorization request may redirect to at once, or the empty string."""
    path, _, query = onward.partition("?")
    if path != AUTHORIZE_PATH:
        return ""
    return form_action_source(dict(parse_qsl(query)).get("redirect_uri", ""), native)


@dataclass
class SignInHandler:
    """`/sign-in` and `/sign-out`."""

    live: Live
    database: Database
    visitors: Visitors
    forms: FormTokens
    pages: Pages
    audit: AuditLog
    clock: Callable[[], float]
    accounts: AttemptLimit = field(default_factory=lambda: AttemptLimit(free=5, longest=60))
    addresses: AttemptLimit = field(default_factory=lambda: AttemptLimit(free=30, longest=300))
    # Each verification takes tens of MiB and a core: a flood of sign-ins waits here, in no worker thread's place.
    hashing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))

    async def page(self, request: Request) -> Response:
        """`GET /sign-in`: the page, or onward when someone is signed in."""
        onward = safe_onward(request.query_params.get("onward", ""))
        if await self.visitors.session(request):
            return RedirectResponse(onward, 303, _NO_STORE)
        return self._page(request, onward)

    def _page(
        self, request: Request, onward: str, *, status: int = 200, login: str = "", problem: str = ""
    ) -> Response:
        cookies = self.visitors.cookies
        binding = cookies.read(request, FORM_COOKIE) or new_secret()
        response = self.pages.render(
            "sign-in",
            status=status,
            form_targets=[onward_form_target(onward, self.live.current.registration.native_redirect_uris)],
            onward=onward,
            connecting=onward.startswith(AUTHORIZE_PATH),
            login=login,
            problem=problem,
            form_token=self.forms.make("sign-in", binding, self.clock()),
        )
        cookies.set(response, FORM_COOKIE, binding)
        return response

    async def handle(self, request: Request) -> Response:
        """`POST /sign-in`."""
        try:
            form = await read_form(request)
        except OAuthError as error:
            return self.pages.error(error.status, "The form is not valid", f"{error.description}.")
        onward, login = safe_onward(form.get("onward")), form.get("login")[:128]
        binding = self.visitors.cookies.read(request, FORM_COOKIE)
        if self.forms.read(form.get("form_token"), "sign-in", binding, self.clock()) is None:
            return self._page(request, onward, status=403, login=login, problem="The page had expired. Try again.")
        address = client_address(request)
        wait = self._wait(login, address)
        if wait > 0:
            self.audit.record("sign-in-delayed", login=self._known(login), address=address)
            seconds = int(wait) + 1
            response = self._page(
                request, onward, status=429, login=login, problem=f"Too many attempts. Try again in {seconds} seconds."
            )
            response.headers["Retry-After"] = str(seconds)
            return response
        browser = browser_name(request.headers.get("user-agent", ""))
        session = await to_thread.run_sync(
            self._sign_in, login, form.get("password"), browser, address, limiter=self.hashing
        )
        if session is None:
            self.audit.record("sign-in-failed", login=self._known(login), address=address)
            return self._page(request, onward, status=401, login=login, problem="The login or the password is wrong.")
        self.accounts.succeeded(login)
        self.addresses.take_back(address)
        self.audit.record("sign-in", login=login, subject=session.account.subject, address=address)
        response = RedirectResponse(onward, 303, _NO_STORE)
        self.visitors.cookies.set(response, SESSION_COOKIE, session.secret)
        self.visitors.cookies.clear(response, FORM_COOKIE)
        return response

    def _known(self, login: str) -> str | None:
        # What isn't a login may be a password that was typed into the wrong field: it isn't recorded.
        return login if self.live.current.user(login) else None

    def _wait(self, login: str, address: str) -> float:
        now = self.clock()
        return self.addresses.begin(address, now) or self.accounts.begin(login, now)

    def _sign_in(self, login: str, password: str, browser: str, address: str) -> BrowserSession | None:
        with self.database.begin() as db:
            account = find_account(db, login)
            password_hash = account.password_hash if account else decoy_hash(any_password_hash(db))
        # Outside the transaction: it takes long, on purpose.
        if not password_matches(password_hash, password) or account is None:
            return None
        if self.live.current.user(login) is None:
            return None
        with self.database.begin() as db:
            return begin_session(db, account, browser, address, int(self.clock()))

    async def sign_out(self, request: Request) -> Response:
        """`POST /sign-out`."""
        try:
            form = await read_form(request)
        except OAuthError as error:
            return self.pages.error(error.status, "The form is not valid", f"{error.description}.")
        session = await self.visitors.session(request)
        if session is not None:
            if self.forms.read(form.get("form_token"), "sign-out", session.secret, self.clock()) is None:
                return self.pages.error(403, "This page has expired", "Load it again and sign out from there.")
            await run_in_threadpool(self._end, session)
            self.audit.record("sign-out", login=session.account.login, subject=session.account.subject)
        response = RedirectResponse("/sign-in", 303, _NO_STORE)
        self.visitors.cookies.clear(response, SESSION_COOKIE)
        return response

    def _end(self, session: BrowserSession) -> None:
        with self.database.begin() as db:
            end_session(db, session.account.subject, session.id)
