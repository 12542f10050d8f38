"""Reads from the database whose instance it is, and the values that it is started with."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_gateway.control.live import Live
from mcp_gateway.credentials import user_values
from mcp_gateway.credentials.effective import effective
from mcp_gateway.documents.servers import Server
from mcp_gateway.instances.permission import permitted
from mcp_gateway.instances.values import StartValues, start_values
from mcp_gateway.instances.view import Key
from mcp_gateway.login.accounts import login_of, subjects
from mcp_gateway.state.database import Database
from mcp_gateway.state.envelope import Envelope


@dataclass
class Owners:
    """Its methods block: call them from a worker thread."""

    live: Live
    database: Database
    envelope: Envelope
    revision_key: bytes = field(repr=False)

    def logins(self) -> dict[str, str]:
        """Subject to login, of all users."""
        with self.database.begin() as db:
            return {subject: login for login, subject in subjects(db).items()}

    def prepare(self, key: Key) -> tuple[Server, StartValues] | None:
        """The server and what its instance is started with now; None when this subject may not have one."""
        document = self.live.document
        with self.database.begin() as db:
            login = login_of(db, key[1])
            server = None if login is None else permitted(document, {key[1]: login}, key)
            if login is None or server is None:
                return None
            given = user_values.given(db, self.envelope, key[1], server.id)
        found = effective(server, login, given)
        return server, start_values(server, key[1], found, self.revision_key)
