"""All users' instances: their state and what they take, and stopping one."""

from __future__ import annotations

from collections import Counter
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.instances.service import StartRefused, Unavailable, Usage
from mcp_gateway.portal.admin.people import people, server_name
from mcp_gateway.portal.my_servers import MOVING_REFRESH_SECONDS, REFRESH_SECONDS
from mcp_gateway.portal.standing import STATES
from mcp_gateway.portal.visit import Visit

PURPOSE: Final = "admin"
_PATH: Final = "/admin"
_ORDER: Final = ("failed", "starting", "stopping", "running")


async def instances_page(visit: Visit) -> Response:
    """`GET /admin`."""
    known, instances = await people(visit), visit.portal.instances
    usage: dict[tuple[str, str], Usage] = {}
    unavailable = ""
    try:
        usage = await instances.usage()
    except (StartRefused, Unavailable) as error:
        unavailable = error.message
    views = [view for view in instances.all() if view.state in _ORDER]
    rows = [
        {
            "view": view,
            "text": STATES[view.state],
            "person": known.name(view.subject),
            "login": known.login(view.subject),
            "server": server_name(visit.document, view.server),
            "usage": usage.get((view.server, view.subject)),
        }
        for view in sorted(views, key=lambda view: (_ORDER.index(view.state), view.server, view.subject))
    ]
    counted = Counter(view.state for view in views)
    return visit.render(
        "admin-instances",
        rows=rows,
        counted=[(STATES[state].lower(), counted[state]) for state in _ORDER if counted[state]],
        memory=sum(each.memory_bytes for each in usage.values()),
        unavailable=unavailable,
        path=_PATH,
        refresh=MOVING_REFRESH_SECONDS if counted["starting"] + counted["stopping"] else REFRESH_SECONDS,
        form_token=visit.token(PURPOSE),
    )


async def stop_instance(visit: Visit, form: Parameters) -> Response:
    """`POST /admin/instances/stop`: one that there is, of whomever it is."""
    place = (form.get("server"), form.get("subject"))
    if place not in {(view.server, view.subject) for view in visit.portal.instances.all()}:
        raise HTTPException(404)
    name = (await people(visit)).name(place[1])
    visit.record("instance-asked", server=place[0], of=place[1], action="stop")
    await visit.portal.background.begin(place, "stop", lambda: visit.portal.instances.stop(*place))
    return visit.back(_PATH, f"Stopping {name}'s instance of {server_name(visit.document, place[0])}.")
