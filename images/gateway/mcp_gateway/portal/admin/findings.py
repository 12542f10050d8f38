"""What is misconfigured or failing, why, and how to mend it. Pure; it names users and settings, never a value."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mcp_gateway.credentials.effective import Effective, effective
from mcp_gateway.documents.gateway import GatewayDocument, Server
from mcp_gateway.instances.service import InstanceView
from mcp_gateway.portal.admin.people import People, server_name
from mcp_gateway.portal.standing import enumeration

MOST_DETAILS: Final = 50

PROBLEM: Final = "problem"
NOTE: Final = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`severity` is `problem` (something doesn't work or is open) or `note` (worth knowing)."""

    severity: str
    title: str
    details: tuple[str, ...]
    remedy: str

    @property
    def hidden(self) -> int:
        """How many details a page leaves out."""
        return max(0, len(self.details) - MOST_DETAILS)


def findings(
    document: GatewayDocument,
    people: People,
    given: Mapping[tuple[str, str], Mapping[str, str]],
    instances: Sequence[InstanceView],
    refused: Sequence[str],
    unavailable: str,
) -> list[Finding]:
    """Everything, problems first.

    `given` are users' values by subject and server id; `refused` is what was wrong with the last delivered document, if
    it isn't in force; `unavailable` says why instances can't be got at, or is empty.
    """
    found = [
        *_refused_document(refused),
        *_launcher(unavailable),
        *_public_url(document),
        *_failing(document, people, instances),
        *_missing(document, people, given),
        *_unfit(document, people, given),
        *_nobody(document),
        *_stale(document, people, instances),
        *_leftovers(document, people, instances),
        *_registration(document),
    ]
    return sorted(found, key=lambda each: each.severity != PROBLEM)


def _refused_document(refused: Sequence[str]) -> list[Finding]:
    remedy = "Mend the stack and run make up again. Until then the gateway goes on by the document before it."
    title = "The last change of the stack was refused"
    return [Finding(PROBLEM, title, tuple(refused), remedy)] if refused else []


def _launcher(unavailable: str) -> list[Finding]:
    title = "Users' instances can't be started or stopped"
    remedy = "Look at the launcher's container and its log."
    return [Finding(PROBLEM, title, (unavailable,), remedy)] if unavailable else []


def _public_url(document: GatewayDocument) -> list[Finding]:
    parts = urlsplit(document.public_url)
    if parts.scheme != "http":
        return []
    if _is_loopback(parts.hostname or ""):
        return [
            Finding(
                NOTE,
                "The gateway is for this machine alone",
                (f"Its public URL is {document.public_url}.",),
                "To offer it to others, put TLS in front and set publicUrl to an https address.",
            )
        ]
    return [
        Finding(
            PROBLEM,
            "The public URL is plain http",
            (f"At {document.public_url} passwords, tokens and calls can be read on the way.",),
            "Put TLS in front and set publicUrl to an https address.",
        )
    ]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _failing(document: GatewayDocument, people: People, instances: Sequence[InstanceView]) -> list[Finding]:
    failed = [view for view in instances if view.state == "failed"]
    lines = tuple(
        f"{people.name(view.subject)}, {server_name(document, view.server)}: {view.reason or 'no reason is known'}"
        for view in failed
    )
    remedy = "The user sees the last log lines on the server's page. One that fails for everyone is the entry's fault."
    return [Finding(PROBLEM, "Instances fail to start", lines, remedy)] if lines else []


def _missing(
    document: GatewayDocument, people: People, given: Mapping[tuple[str, str], Mapping[str, str]]
) -> list[Finding]:
    def names(server: Server, held: Effective) -> list[str]:
        return [setting.name for setting in held.missing if setting.key not in held.refused]

    remedy = "Each user gives theirs on the server's page; or declare them for a user in the stack."
    return _by_server(document, people, given, names, "required values are missing", remedy)


def _unfit(
    document: GatewayDocument, people: People, given: Mapping[tuple[str, str], Mapping[str, str]]
) -> list[Finding]:
    def names(server: Server, held: Effective) -> list[str]:
        return [setting.name for setting in server.user_settings if setting.key in held.refused]

    remedy = "The setting has changed since. The value counts as not given until the user gives it anew."
    return _by_server(document, people, given, names, "values don't fit any more", remedy)


def _by_server(
    document: GatewayDocument,
    people: People,
    given: Mapping[tuple[str, str], Mapping[str, str]],
    names: Callable[[Server, Effective], list[str]],
    what: str,
    remedy: str,
) -> list[Finding]:
    found = []
    for server in document.servers:
        held = {
            subject: effective(server, user.login, given.get((subject, server.id), {}))
            for subject, user in people.by_subject.items()
            if server.user_settings and server.access.admits(user)
        }
        lines = tuple(
            f"{people.name(subject)}: {enumeration(lacking)}"
            for subject, values in held.items()
            if (lacking := names(server, values))
        )
        if lines:
            found.append(Finding(NOTE, f"{server.name}: {what} ({_count(len(lines), 'user')})", lines, remedy))
    return found


def _nobody(document: GatewayDocument) -> list[Finding]:
    unused = [each.name for each in document.servers if not any(each.access.admits(user) for user in document.users)]
    remedy = "Name users or groups in the entry's access, or take the entry out."
    return [Finding(NOTE, "Servers that nobody may use", tuple(unused), remedy)] if unused else []


def _stale(document: GatewayDocument, people: People, instances: Sequence[InstanceView]) -> list[Finding]:
    lines = tuple(
        f"{people.name(view.subject)}, {server_name(document, view.server)}"
        for view in instances
        if view.stale and view.state == "running"
    )
    remedy = "Each is replaced when nobody is using it. To have it at once, stop it; the next call starts it anew."
    return [Finding(NOTE, "Instances run with earlier values or settings", lines, remedy)] if lines else []


def _leftovers(document: GatewayDocument, people: People, instances: Sequence[InstanceView]) -> list[Finding]:
    lines = tuple(
        f"{server_name(document, view.server)}: {people.name(view.subject)}"
        for view in instances
        if view.has_data and view.subject not in people.by_subject
    )
    remedy = "Delete it under Users once nobody needs it."
    return [Finding(NOTE, "Data of people who left", lines, remedy)] if lines else []


def _registration(document: GatewayDocument) -> list[Finding]:
    registration = document.registration
    ways = []
    if registration.dynamic:
        ways.append("Any application may register itself (registration.dynamic).")
    if registration.metadata_documents and not registration.metadata_domains:
        ways.append("Any site may vouch for an application (registration.metadataDomains is empty).")
    remedy = "This is what most MCP clients need; each user still has to allow each of them. Close what you don't need."
    return [Finding(NOTE, "Registration is open", tuple(ways), remedy)] if ways else []


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
