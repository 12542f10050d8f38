"""The account page: what the user has allowed applications, where they are signed in, and ending either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mcp_gateway.authorization.clients import is_metadata_url
from mcp_gateway.authorization.grants import Grant, forget_client, list_grants
from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.documents.gateway import GatewayDocument
from mcp_gateway.login.sessions import SessionSummary, end_other_sessions, end_session, list_sessions
from mcp_gateway.portal.visit import Visit

PURPOSE: Final = "account"
_PATH: Final = "/account"


@dataclass(frozen=True, slots=True)
class Application:
    """What a user has allowed one client. `host` vouches for it, where one does; `since` and `used` as elsewhere."""

    id: str
    name: str
    host: str
    servers: tuple[str, ...]
    since: int
    used: int


async def account_page(visit: Visit) -> Response:
    """`GET /account`."""

    def load() -> tuple[list[Grant], list[SessionSummary]]:
        with visit.portal.database.begin() as db:
            return list_grants(db, visit.subject, visit.now), list_sessions(db, visit.subject, visit.now)

    grants, sessions = await run_in_threadpool(load)
    return visit.render(
        "account",
        applications=applications(grants, visit.document),
        sessions=sessions,
        this_session=visit.session.id,
        groups=", ".join(visit.user.groups),
        form_token=visit.token(PURPOSE),
    )


def applications(grants: Sequence[Grant], document: GatewayDocument) -> list[Application]:
    """Grants by client, the one that was used last first."""
    by_client: dict[str, list[Grant]] = {}
    for grant in grants:
        by_client.setdefault(grant.client_id, []).append(grant)
    found = [
        Application(
            id=client_id,
            name=held[0].client_name,
            host=(urlsplit(client_id).hostname or "") if is_metadata_url(client_id) else "",
            servers=tuple(sorted({each.name for grant in held if (each := document.server_at(grant.resource))})),
            since=min(grant.created_at for grant in held),
            used=max(grant.used_at or grant.created_at for grant in held),
        )
        for client_id, held in by_client.items()
    ]
    return sorted(found, key=lambda each: -each.used)


async def forget_application(visit: Visit, form: Parameters) -> Response:
    """`POST /account/applications/forget`: the application's tokens end at once."""
    client_id = form.get("client_id")

    def forget() -> None:
        with visit.portal.database.begin() as db:
            forget_client(db, visit.subject, client_id, visit.now)

    await run_in_threadpool(forget)
    await visit.portal.feed.refresh()
    visit.record("grant-revoked", by="user", client=client_id)
    return visit.back(_PATH, "Disconnected. What the application was allowed has ended.")


async def end_one_session(visit: Visit, form: Parameters) -> Response:
    """`POST /account/sessions/end`."""

    def end() -> None:
        with visit.portal.database.begin() as db:
            end_session(db, visit.subject, form.get("session"))

    await run_in_threadpool(end)
    visit.record("session-ended")
    return visit.back(_PATH, "Signed out there.")


async def end_sessions_elsewhere(visit: Visit, form: Parameters) -> Response:
    """`POST /account/sessions/end-others`: every session but this one."""

    def end() -> None:
        with visit.portal.database.begin() as db:
            end_other_sessions(db, visit.subject, visit.session.id)

    await run_in_threadpool(end)
    visit.record("sessions-ended", by="user")
    return visit.back(_PATH, "Signed out everywhere else.")
