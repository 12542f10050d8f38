"""Browser sessions: an opaque cookie, of which the database keeps the hash only."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response

from mcp_gateway.login.accounts import Account, account_of
from mcp_gateway.state.opaque import new_secret, secret_hash
from mcp_gateway.state.schema import browser_sessions, users

SESSION_SECONDS: Final = 12 * 3600
"""How long a sign-in lasts."""


@dataclass(frozen=True, slots=True)
class CookieRules:
    """How cookies are set.

    Over https they carry the `__Host-` prefix and `Secure`. Browsers refuse both over http, which the gateway speaks
    on loopback only: there, and only there, the plain names are used.
    """

    secure: bool

    @classmethod
    def for_public_url(cls, url: str) -> CookieRules:
        """The rules for a gateway at this URL."""
        return cls(secure=url.startswith("https://"))

    def name(self, name: str) -> str:
        """The cookie's full name."""
        return f"__Host-{name}" if self.secure else name

    def read(self, request: Request, name: str) -> str:
        """A cookie's value, or the empty string."""
        return request.cookies.get(self.name(name), "")

    def set(self, response: Response, name: str, value: str) -> None:
        """Set a cookie for this browser session."""
        response.set_cookie(self.name(name), value, path="/", secure=self.secure, httponly=True, samesite="lax")

    def clear(self, response: Response, name: str) -> None:
        """Delete a cookie."""
        response.delete_cookie(self.name(name), path="/", secure=self.secure, httponly=True, samesite="lax")


SESSION_COOKIE: Final = "mcp-session"
"""The signed-in user's cookie."""

FORM_COOKIE: Final = "mcp-form"
"""A random value that binds the sign-in form to the browser before there is a session."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A signed-in browser. `secret` is the cookie's value, to which forms are bound."""

    id: str
    account: Account
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session as its owner sees it listed."""

    id: str
    browser: str
    address: str
    created_at: int


def begin_session(db: Connection, account: Account, browser: str, address: str, now: int) -> BrowserSession:
    """Sign a browser in: always under a new secret, so that one known from before is worth nothing."""
    session = BrowserSession(str(uuid.uuid4()), account, new_secret())
    db.execute(
        browser_sessions.insert().values(
            hash=secret_hash(session.secret),
            id=session.id,
            user_id=account.subject,
            browser=browser[:300],
            address=address[:64],
            created_at=now,
            expires_at=now + SESSION_SECONDS,
        )
    )
    return session


def find_session(db: Connection, secret: str, now: int) -> BrowserSession | None:
    """The session of a cookie's value."""
    if not secret:
        return None
    row = db.execute(
        select(users, browser_sessions.c.id.label("session_id"))
        .join(browser_sessions, browser_sessions.c.user_id == users.c.id)
        .where(browser_sessions.c.hash == secret_hash(secret), browser_sessions.c.expires_at > now)
    ).first()
    return None if row is None else BrowserSession(row.session_id, account_of(row), secret)


def list_sessions(db: Connection, subject: str, now: int) -> list[SessionSummary]:
    """The sessions of a user, newest first."""
    rows = db.execute(
        select(browser_sessions)
        .where(browser_sessions.c.user_id == subject, browser_sessions.c.expires_at > now)
        .order_by(browser_sessions.c.created_at.desc())
    )
    return [SessionSummary(row.id, row.browser, row.address, row.created_at) for row in rows]


def end_session(db: Connection, subject: str, session_id: str) -> None:
    """End one session of a user."""
    db.execute(
        browser_sessions.delete().where(browser_sessions.c.user_id == subject, browser_sessions.c.id == session_id)
    )


def end_other_sessions(db: Connection, subject: str, kept: str) -> None:
    """End every session of a user but the one with this id."""
    db.execute(browser_sessions.delete().where(browser_sessions.c.user_id == subject, browser_sessions.c.id != kept))


def count_sessions(db: Connection, now: int) -> dict[str, int]:
    """How many sessions each user has, by subject."""
    rows = db.execute(
        select(browser_sessions.c.user_id, func.count().label("sessions"))
        .where(browser_sessions.c.expires_at > now)
        .group_by(browser_sessions.c.user_id)
    )
    return {row.user_id: row.sessions for row in rows}
