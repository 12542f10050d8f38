"""Who is behind a subject, for the administrators' pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from mcp_gateway.documents.gateway import GatewayDocument, User
from mcp_gateway.login.accounts import subjects
from mcp_gateway.portal.visit import Visit


@dataclass(frozen=True, slots=True)
class People:
    """The declared users, by subject."""

    by_subject: Mapping[str, User]

    def name(self, subject: str) -> str:
        """What pages call whom a subject is; somebody who left is told apart by the subject's beginning."""
        user = self.by_subject.get(subject)
        return (user.display_name or user.login) if user else f"someone who left ({subject[:8]})"

    def login(self, subject: str) -> str:
        """The login, or the empty string."""
        user = self.by_subject.get(subject)
        return user.login if user else ""


async def people(visit: Visit) -> People:
    """The users whom both the stack and the database know."""

    def load() -> dict[str, str]:
        with visit.portal.database.begin() as db:
            return subjects(db)

    found = await run_in_threadpool(load)
    return People({found[user.login]: user for user in visit.document.users if user.login in found})


def server_name(document: GatewayDocument, server_id: str) -> str:
    """A server's name, or its id when the stack has it no more."""
    server = document.server(server_id)
    return server.name if server else server_id
