"""The only requests that may reach the Docker socket. Whatever isn't listed here can't be sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

_ID = r"[0-9a-f]{64}"
_READABLE = re.compile(rf"/(?:_ping|events|containers/json|containers/{_ID}/json|networks|networks/{_ID})")
_CONNECTION = re.compile(rf"/networks/({_ID})/(connect|disconnect)")
_UPDATE = re.compile(rf"/containers/({_ID})/update")

LARGEST_PIDS_LIMIT = 4_194_304
"""The kernel's own ceiling of process ids (proc(5), pid_max)."""


class Refused(Exception):
    """A request that is not on the list; it was not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the engine's own labels have shown: ids never change their labels, so what was seen once stays true."""

    edges: frozenset[str] = frozenset()
    server_networks: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()


def check(method: str, path: str, body: Mapping[str, Any] | None, known: Known) -> None:
    """Pass silently, or raise `Refused`. `path` is without version prefix and query, which the client adds itself."""
    if method == "GET":
        allowed = body is None and _READABLE.fullmatch(path) is not None
    elif method == "POST" and body is not None:
        allowed = _connection(path, body, known) or _update(path, body, known)
    else:
        allowed = False
    if not allowed:
        raise Refused(f"{method} {path} is not among the launcher's requests")


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
    match = _UPDATE.fullmatch(path)
    if match is None or match[1] not in known.containers or body.keys() != {"PidsLimit"}:
        return False
    limit = body["PidsLimit"]
    return type(limit) is int and 0 < limit <= LARGEST_PIDS_LIMIT


def _is_address(value: str) -> bool:
    try:
        return str(IPv4Address(value)) == value
    except AddressValueError:
        return False
