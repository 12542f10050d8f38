"""Which network addresses are public, so that a name in a catalog can't lead a gateway into its own network."""

from __future__ import annotations

import ipaddress

# IANA's special-purpose registries, written out: Python's `is_global` changed between patch releases and passes some.
_IPV4_REFUSED = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # Azure's platform address answers with a machine's secrets, though it lies in public space.
        "168.63.129.16/32",
    )
)

_IPV6_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_IPV6_REFUSED = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries any IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether `address` (IPv4 or IPv6, no scope) is a public unicast address; False for anything unreadable.

    An IPv4 address inside an IPv6 one (mapped, RFC 4291; NAT64's well-known prefix, RFC 6052) is judged as the IPv4
    address that it reaches.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif parsed in _NAT64:
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        else:
            return parsed in _IPV6_GLOBAL_UNICAST and not any(parsed in network for network in _IPV6_REFUSED)
    return not any(parsed in network for network in _IPV4_REFUSED)
