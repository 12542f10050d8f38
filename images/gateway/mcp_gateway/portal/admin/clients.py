"""The applications that are known here: those that registered, and those that a document on the web describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mcp_gateway.authorization.clients import (
    RegisteredClient,
    delete_client,
    is_metadata_url,
    list_registered,
)
from mcp_gateway.authorization.grants import Grant, forget_client_of_all, grants_in_use
from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.portal.admin.instances import PURPOSE
from mcp_gateway.portal.visit import Visit

MOST_SHOWN: Final = 200
"""Strangers may register, so the page has an end."""

_PATH: Final = "/admin/clients"


@dataclass(frozen=True, slots=True)
class KnownClient:
    """An application. `host` vouches for it, where one does; times are seconds since 1970, None for never."""

    id: str
    name: str
    host: str
    targets: tuple[str, ...]
    registered_at: int | None
    used_at: int | None
    people: int


async def clients_page(visit: Visit) -> Response:
    """`GET /admin/clients`."""

    def load() -> tuple[list[RegisteredClient], list[Grant]]:
        with visit.portal.database.begin() as db:
            return list_registered(db), grants_in_use(db, visit.now)

    found = known_clients(*await run_in_threadpool(load))
    return visit.render(
        "admin-clients", clients=found[:MOST_SHOWN], hidden=len(found[MOST_SHOWN:]), form_token=visit.token(PURPOSE)
    )


def known_clients(registered: list[RegisteredClient], grants: list[Grant]) -> list[KnownClient]:
    """Both kinds, the one that was used last first."""
    held: dict[str, list[Grant]] = {}
    for grant in grants:
        held.setdefault(grant.client_id, []).append(grant)
    clients = [
        KnownClient(
            id=client.id,
            name=client.name,
            host="",
            targets=tuple(sorted({_target(uri) for uri in client.redirect_uris})),
            registered_at=client.created_at,
            used_at=client.used_at,
            people=len({grant.subject for grant in held.get(client.id, ())}),
        )
        for client in registered
    ]
    clients += [
        KnownClient(
            id=client_id,
            name=grants[0].client_name,
            host=urlsplit(client_id).hostname or "",
            targets=(),
            registered_at=None,
            used_at=max(grant.used_at or grant.created_at for grant in grants),
            people=len({grant.subject for grant in grants}),
        )
        for client_id, grants in held.items()
        if is_metadata_url(client_id)
    ]
    return sorted(clients, key=lambda client: -(client.used_at or client.registered_at or 0))


async def remove_client(visit: Visit, form: Parameters) -> Response:
    """`POST /admin/clients/remove`: forgotten, with everything that anyone allowed it."""
    client_id = form.get("client_id")

    def remove() -> None:
        with visit.portal.database.begin() as db:
            forget_client_of_all(db, client_id, visit.now)
            delete_client(db, client_id)

    await run_in_threadpool(remove)
    await visit.portal.feed.refresh()
    visit.record("client-removed", by="admin", client=client_id)
    return visit.back(_PATH, "The application has been removed. It has to register and be allowed again.")


def _target(uri: str) -> str:
    parts = urlsplit(uri)
    return parts.hostname if parts.scheme in {"http", "https"} and parts.hostname else f"{parts.scheme}:"
