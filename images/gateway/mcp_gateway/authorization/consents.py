"""Consents: what a user has allowed an application, kept on the server for each user, client and resource."""

from __future__ import annotations

from sqlalchemy import Connection, select

from mcp_gateway.authorization.clients import Client
from mcp_gateway.state.schema import consents


def has_consented(db: Connection, subject: str, client: Client, resource: str, scope: str) -> bool:
    """Whether the user allowed this very thing: a client whose redirect URIs or scopes changed is asked about again."""
    row = db.execute(
        select(consents).where(
            consents.c.user_id == subject, consents.c.client_id == client.id, consents.c.resource == resource
        )
    ).first()
    return row is not None and row.redirect_uris_hash == client.redirect_uris_hash and row.scope == scope


def knows_client(db: Connection, subject: str, client: Client) -> bool:
    """Whether the user has allowed this client anything, with the redirect URIs that it has now."""
    rows = db.execute(
        select(consents.c.redirect_uris_hash).where(consents.c.user_id == subject, consents.c.client_id == client.id)
    )
    return any(row.redirect_uris_hash == client.redirect_uris_hash for row in rows)


def remember_consent(
    db: Connection, subject: str, *, client_id: str, redirect_uris_hash: str, resource: str, scope: str, now: int
) -> None:
    """Keep a consent, replacing the last one of this user for this client and resource."""
    db.execute(
        consents.delete().where(
            consents.c.user_id == subject, consents.c.client_id == client_id, consents.c.resource == resource
        )
    )
    db.execute(
        consents.insert().values(
            user_id=subject,
            client_id=client_id,
            resource=resource,
            redirect_uris_hash=redirect_uris_hash,
            scope=scope,
            created_at=now,
        )
    )
