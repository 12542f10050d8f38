"""The start page: the servers that the user may use, how each stands, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from mcp_gateway.documents.servers import SINGLE_USER, Server
from mcp_gateway.portal.own_values import OwnValues, own_values
from mcp_gateway.portal.standing import Standing, standing
from mcp_gateway.portal.visit import Visit

REFRESH_SECONDS: Final = 10
MOVING_REFRESH_SECONDS: Final = 2


async def my_servers(visit: Visit) -> Response:
    """`GET /`."""
    servers = visit.servers()
    values = await own_values(visit, servers)
    entries = [(server, server_standing(visit, server, values[server.id])) for server in servers]
    return visit.render("my-servers", servers=entries, refresh=refresh_seconds([each for _, each in entries]))


def server_standing(visit: Visit, server: Server, values: OwnValues) -> Standing:
    """How a server stands for the signed-in user."""
    place, portal = (server.id, visit.subject), visit.portal
    view = portal.instances.view(*place) if server.kind == SINGLE_USER else None
    if view is not None and view.state == "running":
        portal.background.forget(place)
    return standing(server, view, values.effective.missing, portal.background.refusal(place))


def refresh_seconds(standings: Sequence[Standing]) -> int:
    """After how many seconds the page asks again; 0 when nothing on it changes by itself."""
    if any(each.moving for each in standings):
        return MOVING_REFRESH_SECONDS
    return REFRESH_SECONDS if any(each.state != "ready" for each in standings) else 0
