"""What a user, or their MCP client, is told when an instance doesn't start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from mcp_gateway.documents.servers import Server
from mcp_gateway.instances.launcher import LauncherFailure
from mcp_gateway.instances.masking import Masking, last_lines
from mcp_gateway.instances.refusal import StartRefused

MOST_LOG_BYTES: Final = 1024
AWAY_RETRY_SECONDS: Final = 2.0

UNKNOWN: Final = "There is no such server for you."
AWAY: Final = "The server can't be started just now. Try again in a moment."
BUSY: Final = "Too many of your servers are waiting to start. Try again in a moment."


def page(public_url: str, server: Server) -> str:
    """The portal's page of a server, the same for everyone."""
    return f"{public_url}/servers/{quote(server.id)}"


def missing_values(public_url: str, server: Server, names: Sequence[str]) -> StartRefused:
    """Required values aren't there."""
    text = f"{server.name} needs values from you first: {', '.join(names)}. Give them at {page(public_url, server)}"
    return StartRefused("values-missing", text, None, names)


def refused(public_url: str, server: Server, failure: LauncherFailure, masking: Masking) -> StartRefused:
    """What the launcher's refusal means to the user."""
    link = page(public_url, server)
    if failure.code in {"limit-user", "limit-total"}:
        whose = "you have" if failure.code == "limit-user" else "all users together have"
        text = (
            f"{server.name} can't be started: {whose} as many instances running as are allowed. "
            f"Stop one at {public_url}/ or try again when one has ended."
        )
        return StartRefused("limit", text, failure.retry_seconds or 30)
    if failure.code in {"start-failed", "back-off"}:
        log = last_lines(failure.log, masking, MOST_LOG_BYTES)
        summary = f"{server.name} could not be started: {masking.mask(failure.message).rstrip('.')}."
        text = summary
        if log and any(line.strip() for line in log):
            text += " The last lines of its log:\n" + "\n".join(log) + "\n\n"
        text += f" Your values and its log: {link}"
        return StartRefused("start-failed", text, failure.retry_seconds, (), log, summary)
    if failure.code == "unknown-server":
        # Its template is delivered a moment before the gateway's document, and may be gone a moment earlier.
        return StartRefused("unavailable", AWAY, failure.retry_seconds or AWAY_RETRY_SECONDS)
    if failure.code == "bad-request":
        text = f"{server.name} can't be started as it is set up. Tell your administrator; your values are at {link}"
        return StartRefused("unavailable", text, failure.retry_seconds)
    return StartRefused("unavailable", AWAY, failure.retry_seconds or AWAY_RETRY_SECONDS)
