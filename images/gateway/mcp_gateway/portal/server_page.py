"""A server's page: how it stands, the user's values, how to connect, and what to do with an instance of one's own."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.documents.servers import SINGLE_USER, Server
from mcp_gateway.instances.service import StartRefused, Unavailable
from mcp_gateway.portal.background import Work
from mcp_gateway.portal.connecting import connect_ways
from mcp_gateway.portal.my_servers import refresh_seconds, server_standing
from mcp_gateway.portal.own_values import change_values, own_values
from mcp_gateway.portal.standing import enumeration
from mcp_gateway.portal.value_form import Submitted, read_values, value_fields
from mcp_gateway.portal.visit import Visit

LOG_LINES: Final = 200
_LOG_SECONDS: Final = 5.0


def path_of(server: Server) -> str:
    """The page's path, the same for everyone; calls that lack a value are answered with it."""
    return f"/servers/{server.id}"


def own_server(visit: Visit) -> Server:
    """The path's server, if the user has an instance of it. Raises HTTPException 404."""
    server = visit.server()
    if server.kind != SINGLE_USER:
        raise HTTPException(404)
    return server


async def server_page(visit: Visit) -> Response:
    """`GET /servers/<id>`."""
    return await _page(visit, visit.server())


async def save_values(visit: Visit, form: Parameters) -> Response:
    """`POST /servers/<id>/values`: all of it, or nothing and what is wrong beside each field."""
    server = visit.server()
    values = (await own_values(visit, [server]))[server.id]
    declared, kept = values.effective.declared, frozenset(values.given_at)
    submitted = read_values(server, declared, values.given, kept, form)
    if submitted.errors:
        return await _page(visit, server, submitted)
    if not submitted.changes:
        return visit.back(path_of(server), "Nothing was different, so nothing has changed.")
    await change_values(visit, server, submitted.changes)
    visit.portal.background.forget((server.id, visit.subject))
    names = [each.name for each in server.user_settings if each.key in submitted.changes]
    text = f"Saved: {enumeration(names)}."
    if server.kind == SINGLE_USER and visit.portal.instances.view(server.id, visit.subject).state == "running":
        text += " Your running instance takes it up when nobody is using it; restart it to have it at once."
    return visit.back(path_of(server), text)


async def start(visit: Visit, form: Parameters) -> Response:
    """`POST /servers/<id>/start`."""
    server, subject, instances = own_server(visit), visit.subject, visit.portal.instances
    return await _act(visit, server, form, "start", lambda: instances.start(server.id, subject, force=True))


async def stop(visit: Visit, form: Parameters) -> Response:
    """`POST /servers/<id>/stop`."""
    server, subject, instances = own_server(visit), visit.subject, visit.portal.instances
    return await _act(visit, server, form, "stop", lambda: instances.stop(server.id, subject))


async def restart(visit: Visit, form: Parameters) -> Response:
    """`POST /servers/<id>/restart`."""
    server, subject, instances = own_server(visit), visit.subject, visit.portal.instances
    return await _act(visit, server, form, "restart", lambda: instances.restart(server.id, subject))


async def _act(visit: Visit, server: Server, form: Parameters, action: str, work: Work) -> Response:
    visit.record("instance-asked", server=server.id, action=action)
    await visit.portal.background.begin((server.id, visit.subject), action, work)
    return RedirectResponse("/" if form.get("from") == "list" else path_of(server), 303, {"Cache-Control": "no-store"})


async def _page(visit: Visit, server: Server, submitted: Submitted | None = None) -> Response:
    values = (await own_values(visit, [server]))[server.id]
    stands = server_standing(visit, server, values)
    return visit.render(
        "server",
        status=422 if submitted else 200,
        server=server,
        standing=stands,
        fields=value_fields(server, values.effective, values.given, values.given_at, submitted),
        failed=bool(submitted),
        path=path_of(server),
        url=visit.document.resource(server),
        ways=connect_ways(server.id, visit.document.resource(server)),
        log=await _last_lines(visit, server) if stands.state in {"running", "failed"} else [],
        refresh=refresh_seconds([stands]),
    )


async def _last_lines(visit: Visit, server: Server) -> list[str]:
    try:
        async with asyncio.timeout(_LOG_SECONDS):
            lines = visit.portal.instances.log(server.id, visit.subject, lines=LOG_LINES, follow=False)
            return [line async for line in lines]
    except (TimeoutError, StartRefused, Unavailable):
        return []
