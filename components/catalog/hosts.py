"""Which hosts and URLs an entry may name: egress domains, and upstreams of remote servers.

This judges what is written. What a name resolves to is judged by the edge, at each connection.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_DENIED_DOMAINS = frozenset({"localhost", "metadata.google.internal", "cluster.local"})
_DENIED_BELOW = (".localhost", ".cluster.local", ".svc", ".in-addr.arpa", ".ip6.arpa")
_PRIVATE_BELOW = (*_DENIED_BELOW, ".local", ".internal", ".lan", ".home.arpa", ".localdomain")
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"})
_METADATA_ADDRESSES = frozenset({"169.254.169.254", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"})
URL_LENGTH = 2048


def domain_wrong(domain: str) -> str | None:
    """Say what is wrong with one of an entry's `egressDomains`; None when it is right."""
    name = domain.lower()
    plain = name.removeprefix("*.")
    if not domain.strip():
        return "is blank"
    if "://" in name or "/" in name or ":" in name:
        return "is not a bare host name"
    if "*" in plain:
        return "has a star elsewhere than in front"
    labels = plain.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return "is an address, not a name"
    if len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return "is not a host name"
    if len(labels) < 2 and plain not in _DENIED_DOMAINS:
        return "has one label only"
    if plain in _DENIED_DOMAINS or name in _METADATA_NAMES or any(f".{plain}".endswith(end) for end in _DENIED_BELOW):
        return "names this machine, the cluster or a metadata service"
    return None


def host_wrong(host: str) -> str | None:
    """Say what is wrong with a remote's `hostname` (a name, or `*.name`); None when it is right."""
    plain = host.lower().removeprefix("*.")
    if "://" in host or "/" in host or ":" in host or "*" in plain:
        return "is not a bare host name"
    labels = plain.split(".")
    if _NUMERIC.fullmatch(labels[-1]) or not all(_LABEL.fullmatch(label) for label in labels):
        return "is not a host name"
    return None


def host_fits(host: str, hostname: str) -> bool:
    """Tell whether an URL's host is the one that an entry names; `*.x.y` is any depth below `x.y`, not `x.y`."""
    host, hostname = host.lower().rstrip("."), hostname.lower()
    if hostname.startswith("*."):
        return host.endswith(hostname[1:]) and len(host) > len(hostname) - 1
    return host == hostname


def url_wrong(url: str) -> str | None:
    """Say what is wrong with the form of an upstream's URL, or with a host that is never reached; None when right."""
    parts = split(url)
    if parts is None:
        return "is not an URL"
    if parts.scheme not in ("http", "https"):
        return "is neither an http nor an https URL"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password"
    if parts.fragment:
        return "holds a fragment (#)"
    host = (parts.hostname or "").rstrip(".")
    if not host:
        return "names no host"
    if host in _METADATA_NAMES or host in _METADATA_ADDRESSES:
        return "names a metadata service, which is never reached"
    address = _address(host)
    if address is None:
        labels = host.split(".")
        if _NUMERIC.fullmatch(labels[-1]):
            return "spells an address in an unusual way"
        return (
            None if len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) else "names a host that is not a host name"
        )
    if _unmapped(address).is_link_local or address.is_multicast or address.is_unspecified or str(address) == "0.0.0.0":  # noqa: S104
        return "names an address that is never reached (link-local, multicast or unspecified)"
    return None


def is_private(url: str) -> bool:
    """Tell whether an URL that `url_wrong` accepts names a host of this machine or of a private network."""
    parts = split(url)
    host = (parts.hostname or "").rstrip(".") if parts else ""
    address = _address(host)
    if address is not None:
        return not _unmapped(address).is_global
    return "." not in host or any(f".{host}".endswith(end) for end in _PRIVATE_BELOW)


def split(url: str) -> SplitResult | None:
    """Return the parts of an URL; None when it has blanks, control characters, backslashes or a port out of range."""
    if not url or len(url) > URL_LENGTH or re.search(r"[\x00-\x20\x7f-\U0010ffff\\]", url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts if parts.port != 0 else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _unmapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
    return address
