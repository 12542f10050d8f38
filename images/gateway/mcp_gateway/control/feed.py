"""The edge's feed: the edge document, pushed to every waiting edge as soon as anything in it changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mcp_gateway.authorization.grants import revoked_tokens
from mcp_gateway.control.live import Live
from mcp_gateway.control.long_poll import Latest
from mcp_gateway.credentials.user_values import OpenedValues
from mcp_gateway.documents.edge import EdgeState, edge_document
from mcp_gateway.documents.gateway import LONGEST_ACCESS_SECONDS, GatewayDocument
from mcp_gateway.login.accounts import subjects
from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import Envelope
from mcp_gateway.state.schema import users


@dataclass
class EdgeFeed:
    """Builds the edge document from what is in force and the database, and answers `GET /internal/edge`."""

    live: Live
    database: Database
    envelope: Envelope
    session_key: bytes = field(repr=False)
    clock: Callable[[], float]
    latest: Latest = field(default_factory=Latest)
    building: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: int = 0
    """How often a build has been asked for."""
    answered: int = 0
    """The number of the last request that a build has answered."""
    user_values: OpenedValues = field(default_factory=OpenedValues)

    async def refresh(self) -> None:
        """Build the document anew and wake the edges if it differs. Call it after each change that concerns them.

        Strangers cause calls (a token request that is refused does), so one build answers all that came before it.
        """
        self.asked = mine = self.asked + 1
        async with self.building:
            document = self.live.document
            if document is None or self.answered >= mine:
                return
            begun = self.asked
            content = await run_in_threadpool(self._build, document)
            self.answered = begun
            version = str(content["version"])
            if version != self.latest.version:
                self.latest.publish(version, json.dumps(content).encode())

    def _build(self, document: GatewayDocument) -> dict[str, object]:
        now = int(self.clock())
        with self.database.begin() as db:
            resets = db.execute(
                select(users.c.id, users.c.tokens_valid_from).where(
                    users.c.tokens_valid_from > now - LONGEST_ACCESS_SECONDS
                )
            )
            state = EdgeState(
                subjects=subjects(db),
                keys=[key.public for key in self.live.keys],
                session_key=self.session_key,
                revoked_tokens=revoked_tokens(db, now),
                revoked_before={row.id: row.tokens_valid_from for row in resets},
                given=self.user_values.read(
                    db,
                    self.envelope,
                    ((each.id, [setting.key for setting in each.user_settings]) for each in document.servers),
                ),
            )
        return edge_document(document, state)

    async def stop(self) -> None:
        """Answer every waiting poll, so that the server can shut down."""
        self.latest.stop()

    async def handle(self, request: Request) -> Response:
        """`GET /internal/edge?after=<version>`: the document when it differs, else 204 after a while."""
        return await self.latest.answer(request)
