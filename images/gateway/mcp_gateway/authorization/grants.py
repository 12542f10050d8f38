"""Grants: what a user allowed a client to do with one server, and the family of tokens that came of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, or_, select

from mcp_gateway.state.schema import access_tokens, authorization_codes, consents, grants, refresh_tokens, users


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant; its id is the `fam` claim of its tokens. `used_at` is when it last gave one."""

    id: str
    subject: str
    login: str
    client_id: str
    client_name: str
    resource: str
    scope: str
    created_at: int
    expires_at: int
    used_at: int | None
    revoked: bool


def create_grant(
    db: Connection, *, subject: str, client_id: str, client_name: str, resource: str, scope: str, now: int, seconds: int
) -> str:
    """Record a grant and return its id. It ends after `seconds`, however often its tokens are refreshed."""
    grant_id = str(uuid.uuid4())
    db.execute(
        grants.insert().values(
            id=grant_id,
            user_id=subject,
            client_id=client_id,
            client_name=client_name[:200],
            resource=resource,
            scope=scope,
            created_at=now,
            expires_at=now + seconds,
        )
    )
    return grant_id


def find_grant(db: Connection, grant_id: str) -> Grant:
    """The grant with this id. Codes and tokens refer to theirs by foreign key, so it exists."""
    return _find(db, grants.c.id == grant_id)[0]


def list_grants(db: Connection, subject: str, now: int) -> list[Grant]:
    """A user's grants that are in use, newest first."""
    return _find(db, (grants.c.user_id == subject) & _in_use(now))


def grants_in_use(db: Connection, now: int) -> list[Grant]:
    """Every user's grants that are in use, newest first."""
    return _find(db, _in_use(now))


def _in_use(now: int) -> ColumnElement[bool]:
    return grants.c.used_at.is_not(None) & grants.c.revoked_at.is_(None) & (grants.c.expires_at > now)


def _find(db: Connection, condition: ColumnElement[bool]) -> list[Grant]:
    rows = db.execute(
        select(grants, users.c.login)
        .join(users, users.c.id == grants.c.user_id)
        .where(condition)
        .order_by(grants.c.created_at.desc())
    )
    return [
        Grant(
            id=row.id,
            subject=row.user_id,
            login=row.login,
            client_id=row.client_id,
            client_name=row.client_name,
            resource=row.resource,
            scope=row.scope,
            created_at=row.created_at,
            expires_at=row.expires_at,
            used_at=row.used_at,
            revoked=row.revoked_at is not None,
        )
        for row in rows
    ]


def mark_used(db: Connection, grant_id: str, now: int) -> None:
    """Record that the grant gave a token."""
    db.execute(grants.update().where(grants.c.id == grant_id).values(used_at=now))


def revoke_grants(db: Connection, condition: ColumnElement[bool], now: int) -> None:
    """Revoke the grants that meet the condition, with every token of theirs that still lives."""
    chosen = select(grants.c.id).where(condition)
    living = access_tokens.c.revoked_at.is_(None) & (access_tokens.c.expires_at > now)
    db.execute(access_tokens.update().where(access_tokens.c.grant_id.in_(chosen), living).values(revoked_at=now))
    db.execute(grants.update().where(condition, grants.c.revoked_at.is_(None)).values(revoked_at=now))


def forget_client(db: Connection, subject: str, client_id: str, now: int) -> None:
    """A user takes back everything that a client was allowed, the remembered consents included."""
    revoke_grants(db, (grants.c.user_id == subject) & (grants.c.client_id == client_id), now)
    db.execute(consents.delete().where(consents.c.user_id == subject, consents.c.client_id == client_id))


def forget_everything(db: Connection, subject: str, now: int) -> None:
    """Take back everything that a user has allowed any client, the remembered consents included."""
    revoke_grants(db, grants.c.user_id == subject, now)
    db.execute(consents.delete().where(consents.c.user_id == subject))


def forget_client_of_all(db: Connection, client_id: str, now: int) -> None:
    """Take back everything that anyone has allowed a client, the remembered consents included."""
    revoke_grants(db, grants.c.client_id == client_id, now)
    db.execute(consents.delete().where(consents.c.client_id == client_id))


def end_what_is_not_usable(db: Connection, usable: Callable[[str, str], bool], now: int) -> None:
    """Revoke grants and delete consents where this user (login) may no longer use this server (resource).

    A server that is removed and one that is later added under its name may be different things.
    """
    pairs = db.execute(
        select(users.c.id, users.c.login, grants.c.resource)
        .join(grants, grants.c.user_id == users.c.id)
        .where(grants.c.revoked_at.is_(None))
        .union(
            select(users.c.id, users.c.login, consents.c.resource).join(consents, consents.c.user_id == users.c.id),
        )
    ).all()
    for subject, login, resource in pairs:
        if not usable(resource, login):
            revoke_grants(db, (grants.c.user_id == subject) & (grants.c.resource == resource), now)
            db.execute(consents.delete().where(consents.c.user_id == subject, consents.c.resource == resource))


def revoked_tokens(db: Connection, now: int) -> dict[str, int]:
    """The ids of revoked access tokens that haven't expired, with their expiry."""
    rows = db.execute(
        select(access_tokens.c.id, access_tokens.c.expires_at).where(
            access_tokens.c.revoked_at.is_not(None), access_tokens.c.expires_at > now
        )
    )
    return {row.id: row.expires_at for row in rows}


def delete_expired(db: Connection, now: int) -> None:
    """Delete what can't be used or asked about any more."""
    # A code or refresh token that was used stays until it would have expired: a replay must still be recognised.
    db.execute(authorization_codes.delete().where(authorization_codes.c.expires_at <= now - 600))
    db.execute(refresh_tokens.delete().where(refresh_tokens.c.expires_at <= now))
    db.execute(access_tokens.delete().where(access_tokens.c.expires_at <= now))
    in_use = select(authorization_codes.c.grant_id).union(
        select(refresh_tokens.c.grant_id), select(access_tokens.c.grant_id)
    )
    db.execute(
        grants.delete().where(
            grants.c.id.not_in(in_use), or_(grants.c.created_at <= now - 600, grants.c.expires_at <= now)
        )
    )
