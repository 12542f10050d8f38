"""Local accounts: those that the stack declares, each with a subject of its own that never tells the login."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, select

from mcp_gateway.authorization.grants import revoke_grants
from mcp_gateway.documents.gateway import User
from mcp_gateway.state.schema import browser_sessions, grants, users


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the database knows them; `subject` is stable and opaque (`sub` of the tokens)."""

    subject: str
    login: str
    display_name: str
    password_hash: str = field(repr=False)

    @property
    def shown_name(self) -> str:
        """What pages call the user."""
        return self.display_name or self.login


def account_of(row: Row[tuple[object, ...]]) -> Account:
    """An account from a row of the users table."""
    return Account(row.id, row.login, row.display_name, row.password_hash)


def find_account(db: Connection, login: str) -> Account | None:
    """The account with this login."""
    row = db.execute(select(users).where(users.c.login == login)).first()
    return None if row is None else account_of(row)


def any_password_hash(db: Connection) -> str | None:
    """The hash of some account, for its parameters."""
    return db.execute(select(users.c.password_hash).limit(1)).scalar()


def subjects(db: Connection) -> dict[str, str]:
    """Login to subject."""
    return {row.login: row.id for row in db.execute(select(users.c.login, users.c.id))}


def login_of(db: Connection, subject: str) -> str | None:
    """The login of a subject."""
    return db.execute(select(users.c.login).where(users.c.id == subject)).scalar()


def apply_users(db: Connection, declared: Sequence[User], now: int) -> None:
    """Make the accounts what the stack declares.

    A declared password hash that changed resets the password, ends the user's browser sessions and revokes their
    grants. A user who is no longer declared is deleted with everything they granted; the same login declared again
    later is a new subject, because it may be a new person.
    """
    known = {row.login: row for row in db.execute(select(users))}
    for user in declared:
        row = known.pop(user.login, None)
        if row is None:
            db.execute(
                users.insert().values(
                    id=str(uuid.uuid4()),
                    login=user.login,
                    display_name=user.display_name,
                    password_hash=user.password_hash,
                    declared_hash=user.password_hash,
                    tokens_valid_from=0,
                    created_at=now,
                )
            )
            continue
        changed: dict[str, str | int] = {"display_name": user.display_name}
        if row.declared_hash != user.password_hash:
            revoke_grants(db, grants.c.user_id == row.id, now)
            db.execute(browser_sessions.delete().where(browser_sessions.c.user_id == row.id))
            changed |= {
                "password_hash": user.password_hash,
                "declared_hash": user.password_hash,
                "tokens_valid_from": now,
            }
        db.execute(users.update().where(users.c.id == row.id).values(changed))
    for row in known.values():
        db.execute(users.delete().where(users.c.id == row.id))
