"""A user's own values for their servers: read for a page, and changed by its form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from mcp_gateway.credentials import user_values
from mcp_gateway.credentials.effective import Effective, effective
from mcp_gateway.documents.servers import SINGLE_USER, Server
from mcp_gateway.login.addresses import client_address
from mcp_gateway.portal.visit import Visit


@dataclass(frozen=True, slots=True)
class OwnValues:
    """What a user has for a server. `given` holds no sensitive value: a page has no use for one."""

    effective: Effective
    given: Mapping[str, str] = field(repr=False)
    given_at: Mapping[str, int]


async def own_values(visit: Visit, servers: Sequence[Server]) -> dict[str, OwnValues]:
    """The signed-in user's values, by server id."""
    return await run_in_threadpool(_load, visit, servers)


async def change_values(visit: Visit, server: Server, changes: Mapping[str, str | None]) -> None:
    """Keep or remove values of the signed-in user, and tell the edge and the user's instance."""
    if not changes:
        return
    portal = visit.portal

    def store() -> None:
        with portal.database.begin() as db:
            user_values.put(db, portal.envelope, visit.subject, server.id, changes, visit.now)

    await run_in_threadpool(store)
    user_values.record_changes(
        portal.audit, visit.user.login, server.id, changes, by="user", address=client_address(visit.request)
    )
    if server.kind == SINGLE_USER:
        portal.instances.values_changed(server.id, visit.subject)
    await portal.feed.refresh()


def _load(visit: Visit, servers: Sequence[Server]) -> dict[str, OwnValues]:
    portal, found = visit.portal, {}
    with portal.database.begin() as db:
        for server in servers:
            given: dict[str, str] = {}
            given_at: dict[str, int] = {}
            if server.user_settings:
                given = user_values.given(db, portal.envelope, visit.subject, server.id)
                given_at = user_values.stored_keys(db, visit.subject, server.id)
            plain = {setting.key for setting in server.user_settings if not setting.sensitive}
            found[server.id] = OwnValues(
                effective(server, visit.user.login, given),
                {key: value for key, value in given.items() if key in plain},
                given_at,
            )
    return found
