"""A user's own data of one server: taken away as an archive, and deleted after the page that names what goes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.documents.servers import Server
from mcp_gateway.instances.service import StartRefused, Unavailable
from mcp_gateway.portal.own_values import change_values, own_values
from mcp_gateway.portal.server_page import own_server, path_of
from mcp_gateway.portal.standing import enumeration
from mcp_gateway.portal.visit import Visit


async def export_data(visit: Visit) -> Response:
    """`GET /servers/<id>/data.tar`: the volume's content, as the launcher gives it."""
    server = own_server(visit)
    if not visit.portal.instances.view(server.id, visit.subject).has_data:
        return visit.back(path_of(server), "There is no data yet.", "problem")
    content = visit.portal.instances.export(server.id, visit.subject)
    try:
        # The first piece decides whether this is an archive or a page that says why there is none.
        first = await anext(content, b"")
    except (StartRefused, Unavailable) as error:
        return visit.back(path_of(server), error.message, "problem")
    visit.record("data-exported", server=server.id)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{server.id}-data.tar"'}
    return StreamingResponse(_all(first, content), media_type="application/x-tar", headers=headers)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def delete_page(visit: Visit) -> Response:
    """`GET /servers/<id>/delete`: what would go, and the question."""
    server = own_server(visit)
    return visit.render(
        "delete",
        server=server,
        path=path_of(server),
        has_data=visit.portal.instances.view(server.id, visit.subject).has_data,
        given=await _given_names(visit, server),
    )


async def delete_data(visit: Visit, form: Parameters) -> Response:
    """`POST /servers/<id>/delete`: the instance and its data go, and the values too if that was ticked."""
    server = own_server(visit)
    try:
        await visit.portal.instances.delete_data(server.id, visit.subject)
    except (StartRefused, Unavailable) as error:
        return visit.back(path_of(server), error.message, "problem")
    visit.record("data-deleted", server=server.id)
    text = "Your data has been deleted."
    if form.get("values"):
        kept = (await own_values(visit, [server]))[server.id].given_at
        await change_values(visit, server, dict.fromkeys(kept))
        text = "Your data and your values have been deleted."
    return visit.back(path_of(server), text)


async def _given_names(visit: Visit, server: Server) -> str:
    given_at = (await own_values(visit, [server]))[server.id].given_at
    names = [setting.name for setting in server.user_settings if setting.key in given_at]
    return enumeration(names) if names else ""
