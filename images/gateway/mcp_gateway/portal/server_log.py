"""The log of a user's own instance as it is written: server-sent events, from the last lines on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response, StreamingResponse

from mcp_gateway.instances.service import StartRefused, Unavailable
from mcp_gateway.portal.server_page import LOG_LINES, own_server
from mcp_gateway.portal.visit import Visit

BEAT_SECONDS: Final = 10.0
"""Something is sent at least this often: the edge ends an answer that is silent for 30 s."""

LONGEST_SECONDS: Final = 900.0
"""A stream ends after this time; the page's script opens the next one."""

MOST_STREAMS: Final = 6
"""How many of one user's pages may follow logs at once."""

_END: Final = "event: end\ndata:\n\n"


@dataclass
class LogStreams:
    """The streams that are open, counted by subject."""

    open: Counter[str] = field(default_factory=Counter)

    async def follow(self, visit: Visit) -> Response:
        """`GET /servers/<id>/log`: `begin`, an event for each line, and `end` when the instance has ended."""
        server = own_server(visit)
        if self.open[visit.subject] >= MOST_STREAMS:
            return Response("Too many logs are followed at once.", 429, {"Retry-After": "10"})
        return StreamingResponse(
            self._events(visit, server.id), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _events(self, visit: Visit, server_id: str) -> AsyncIterator[str]:
        clock = asyncio.get_running_loop().time
        begun = clock()
        lines = visit.portal.instances.log(server_id, visit.subject, lines=LOG_LINES, follow=True)
        following: asyncio.Task[str | None] | None = None
        self.open[visit.subject] += 1
        try:
            yield "retry: 3000\nevent: begin\ndata:\n\n"
            checked = begun
            while clock() - begun < LONGEST_SECONDS:
                following = following or asyncio.create_task(_next(lines))
                await asyncio.wait({following}, timeout=BEAT_SECONDS)
                if clock() - checked >= BEAT_SECONDS:
                    # Signing out, or losing the server, also ends what was opened before.
                    if not await _may_go_on(visit):
                        return
                    checked = clock()
                if not following.done():
                    yield ": still here\n\n"
                    continue
                line, following = following.result(), None
                if line is None:
                    yield _END
                    return
                # As JSON, because a carriage return within would end the event's line.
                yield f"data: {json.dumps(line)}\n\n"
        except (StartRefused, Unavailable):
            yield _END
        finally:
            self.open[visit.subject] -= 1
            if following is not None:
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError, StartRefused, Unavailable):
                    await following


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)


async def _may_go_on(visit: Visit) -> bool:
    portal = visit.portal
    session = await portal.visitors.session(visit.request)
    document = portal.live.current
    user = document.user(visit.user.login)
    server = document.server(visit.request.path_params["server"])
    return session is not None and user is not None and server is not None and server.access.admits(user)
