"""The page of what is misconfigured or failing."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mcp_gateway.credentials.user_values import OpenedValues
from mcp_gateway.instances.service import StartRefused, Unavailable
from mcp_gateway.portal.admin.findings import MOST_DETAILS, findings
from mcp_gateway.portal.admin.people import people
from mcp_gateway.portal.visit import Visit


async def problems_page(visit: Visit) -> Response:
    """`GET /admin/problems`. Values are read to see whether each fits its setting; none reaches the page."""
    portal, document = visit.portal, visit.document

    def load() -> dict[tuple[str, str], dict[str, str]]:
        asked = ((each.id, [setting.key for setting in each.user_settings]) for each in document.servers)
        with portal.database.begin() as db:
            return OpenedValues().read(db, portal.envelope, asked)

    given, unavailable = await run_in_threadpool(load), ""
    try:
        await portal.instances.usage()
    except (StartRefused, Unavailable) as error:
        unavailable = error.message
    found = findings(document, await people(visit), given, portal.instances.all(), portal.live.refused, unavailable)
    return visit.render("admin-problems", findings=found, most=MOST_DETAILS)
