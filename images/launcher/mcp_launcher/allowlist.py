"""The only requests that may reach the Docker socket. Whatever isn't listed here can't be sent."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from mcp_launcher import creation
from mcp_launcher.known import Known
from mcp_launcher.owned import DELIVERY, INSTANCE, READY
from mcp_launcher.state import STACK_LABEL

_ID = r"[0-9a-f]{64}"
_READABLE = re.compile(rf"/(?:_ping|events|containers/json|containers/{_ID}/json|networks|networks/{_ID}|volumes)")
_CONNECTION = re.compile(rf"/networks/({_ID})/(connect|disconnect)")
_CONTAINER = re.compile(rf"/containers/({_ID})(?:/([a-z]+))?")
_NETWORK = re.compile(rf"/networks/({_ID})")
_VOLUME = re.compile(r"/volumes/([a-zA-Z0-9][a-zA-Z0-9_.-]{0,254})")
_SECONDS = re.compile(r"[0-9]{1,2}")
_LINES = re.compile(r"[1-9][0-9]{0,4}")

LARGEST_PIDS_LIMIT = 4_194_304
"""The kernel's own ceiling of process ids (proc(5), pid_max)."""
ATTACHED = {"stream": "1", "stdin": "1", "stdout": "1", "stderr": "1"}
MEASURED = {"stream": "false", "one-shot": "true"}
REMOVED = {"force": "true", "v": "true"}
FETCHED = "/data"
"""The one folder that is read out of a container: where a keeper has a volume."""


class Refused(Exception):
    """A request that is not on the list; it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, `path` without the version's prefix. `content` is a body that isn't JSON."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content: bytes | None = None


def check(request: Request, known: Known, stack: str) -> None:
    """Pass silently, or raise `Refused`."""
    if not (_reads(request, stack) or _changes(request, known) or _creates(request, known) or _owned(request, known)):
        raise Refused(f"{request.method} {request.path} is not among the launcher's requests")


def _reads(request: Request, stack: str) -> bool:
    if request.method != "GET" or request.body is not None or request.content is not None:
        return False
    if not _READABLE.fullmatch(request.path):
        return False
    if request.path in ("/events", "/containers/json", "/networks", "/volumes"):
        return _of_the_stack(request.query, stack, events=request.path == "/events")
    return not request.query


def _of_the_stack(query: Mapping[str, str], stack: str, *, events: bool) -> bool:
    try:
        filters = json.loads(query.get("filters", ""))
    except ValueError:
        return False
    narrow = {"type", "event"} if events else set()
    return (
        isinstance(filters, dict)
        and filters.keys() <= {"label"} | narrow
        and filters.get("label") == [f"{STACK_LABEL}={stack}"]
        and query.keys() <= {"filters", "all"}
        and query.get("all", "true") == "true"
    )


def _changes(request: Request, known: Known) -> bool:
    """What is done to servers' networks and to containers that Pulumi made."""
    if request.method != "POST" or request.body is None or request.content is not None or request.query:
        return False
    return _connection(request.path, request.body, known) or _update(request.path, request.body, known)


def _connection(path: str, body: Mapping[str, Any], known: Known) -> bool:
    target = _CONNECTION.fullmatch(path)
    if target is None or target[1] not in known.server_networks:
        return False
    match body:
        case {"Container": str(edge), "EndpointConfig": {"IPAMConfig": {"IPv4Address": str(address)}}}:
            only = {"Container": edge, "EndpointConfig": {"IPAMConfig": {"IPv4Address": address}}}
            return target[2] == "connect" and edge in known.edges and _is_address(address) and dict(body) == only
        case {"Container": str(edge), "Force": False, **rest}:
            return target[2] == "disconnect" and edge in known.edges and body["Force"] is False and not rest
        case _:
            return False


def _update(path: str, body: Mapping[str, Any], known: Known) -> bool:
    match = _CONTAINER.fullmatch(path)
    if match is None or match[2] != "update" or match[1] not in known.containers or body.keys() != {"PidsLimit"}:
        return False
    limit = body["PidsLimit"]
    return type(limit) is int and 0 < limit <= LARGEST_PIDS_LIMIT


def _creates(request: Request, known: Known) -> bool:
    """What a template in force says, and nothing else."""
    if request.method != "POST" or request.body is None or request.content is not None:
        return False
    match request.path:
        case "/networks/create":
            return not request.query and creation.network_allowed(request.body, known)
        case "/volumes/create":
            return not request.query and creation.volume_allowed(request.body, known)
        case "/containers/create":
            name = request.query.get("name", "")
            return request.query.keys() == {"name"} and creation.container_allowed(name, request.body, known)
        case _:
            return False


def _owned(request: Request, known: Known) -> bool:
    """What is done to instances, and to what stands beside them."""
    if request.body is not None:
        return False
    if (volume := _VOLUME.fullmatch(request.path)) is not None:
        return _removes(request, {}) and volume[1] in known.volumes
    if (network := _NETWORK.fullmatch(request.path)) is not None:
        return _removes(request, {}) and network[1] in known.networks
    container = _CONTAINER.fullmatch(request.path)
    target = known.owned.get(container[1]) if container else None
    if container is None or target is None:
        return False
    if request.method == "PUT":
        return (
            container[2] == "archive"
            and request.content is not None
            and request.query.keys() == {"path"}
            and creation.archive_allowed(target.id, request.query["path"], request.content, known)
        )
    return request.content is None and _on_container(request, container[2], target.role)


def _on_container(request: Request, action: str | None, role: str) -> bool:
    query = dict(request.query)
    match request.method, action:
        case "DELETE", None:
            return query == REMOVED
        case "POST", "start":
            return role in (INSTANCE, READY) and not query
        case "POST", "wait":
            return role in (INSTANCE, READY) and not query
        case "POST", "stop":
            return role == INSTANCE and query.keys() == {"t"} and _SECONDS.fullmatch(query["t"]) is not None
        case "POST", "attach":
            return role == INSTANCE and query == ATTACHED
        case "GET", "stats":
            return role == INSTANCE and query == MEASURED
        case "GET", "logs":
            follow, tail = query.pop("follow", "0"), query.pop("tail", "")
            outputs = query == {"stdout": "1", "stderr": "1"}
            return role in (INSTANCE, READY) and outputs and follow in ("0", "1") and bool(_LINES.fullmatch(tail))
        case "GET", "archive":
            return role == DELIVERY and query == {"path": FETCHED}
        case _:
            return False


def _removes(request: Request, query: Mapping[str, str]) -> bool:
    return request.method == "DELETE" and request.content is None and dict(request.query) == query


def _is_address(value: str) -> bool:
    try:
        return str(IPv4Address(value)) == value
    except AddressValueError:
        return False
