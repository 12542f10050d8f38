"""Who may have an instance of what, by the document in force. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_gateway.documents.gateway import GatewayDocument
from mcp_gateway.documents.servers import SINGLE_USER, Server
from mcp_gateway.instances.view import Key


def permitted(document: GatewayDocument | None, logins: Mapping[str, str], key: Key) -> Server | None:
    """The key's server, if its subject is a user who may use it and it is one with instances."""
    login = logins.get(key[1])
    user = document.user(login) if document is not None and login is not None else None
    server = document.server(key[0]) if document is not None else None
    if user is None or server is None or server.kind != SINGLE_USER or not server.access.admits(user):
        return None
    return server
