"""The cluster's own addresses: ranges that nothing on this machine uses, and the bridge that carries them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from engine.errors import EngineError
from engine.process import capture

BRIDGE = "mcp-cluster0"
# Second octets of 10.0.0.0/8 that neither Docker nor the usual private networks choose by themselves.
SECOND_OCTETS = (197, 213, 229, 181, 165, 149)
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The range of the pods, whose first address is the node's, and the range of the services."""

    pods: IPv4Network
    services: IPv4Network

    @property
    def node(self) -> IPv4Address:
        """The address that the API server and the kubelet listen on: the bridge's own."""
        return self.pods[1]

    @property
    def kubernetes(self) -> IPv4Address:
        """The address of the service `kubernetes`, by which pods reach the API server."""
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        """The address of the cluster's name service."""
        return self.services[10]


def of(octet: int) -> Network:
    """Return the network for a second octet: 1,022 pods and as many services."""
    return Network(pods=IPv4Network(f"10.{octet}.0.0/22"), services=IPv4Network(f"10.{octet}.4.0/22"))


def choose(taken: Iterable[IPv4Network]) -> Network | None:
    """Return the first network that overlaps nothing in `taken`; None when each one does."""
    used = list(taken)
    for candidate in map(of, SECOND_OCTETS):
        if not any(candidate.pods.overlaps(other) or candidate.services.overlaps(other) for other in used):
            return candidate
    return None


def routed(listed: str) -> list[IPv4Network]:
    """Return the destinations in what `ip -json route show table all` prints, without default routes and our bridge."""
    found = []
    for route in json.loads(listed or "[]"):
        if route.get("dev") == BRIDGE or route.get("dst") in (None, "default"):
            continue
        try:
            network = IPv4Network(str(route["dst"]))
        except ValueError:
            continue
        # A route for half of all addresses is a default route in disguise (VPNs set two of them).
        if network.prefixlen > 1:
            found.append(network)
    return found


def ensure(record: Path) -> Network:
    """Return this cluster's network: the one noted in `record`, else a free one, which is noted there."""
    if record.exists():
        return of(int(json.loads(record.read_text())["octet"]))
    listed = capture(["ip", "-4", "-json", "route", "show", "table", "all"]).out
    network = choose(routed(listed))
    if network is None:
        tried = ", ".join(f"10.{octet}.0.0/21" for octet in SECOND_OCTETS)
        raise EngineError(f"no free addresses for pods and services (tried {tried})", "remove a route to one of them")
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"octet": network.pods[0].packed[1]}))
    return network


def bring_up(network: Network, before: Path) -> None:
    """Make the bridge with the node's address, and the kernel's settings; what they were is noted in `before`."""
    ip = ["ip"]
    commands: list[list[str]] = []
    if not Path("/sys/class/net", BRIDGE).exists():
        commands.append([*ip, "link", "add", BRIDGE, "type", "bridge"])
    commands.append([*ip, "address", "replace", f"{network.node}/{network.pods.prefixlen}", "dev", BRIDGE])
    commands.append([*ip, "link", "set", BRIDGE, "up"])
    for command in commands:
        done = capture(command)
        if not done.ok:
            raise EngineError(f"`{' '.join(command)}` failed: {done.err.strip()}", "run it as root")
    ipv6 = Path("/proc/sys/net/ipv6/conf", BRIDGE, "disable_ipv6")
    if ipv6.exists():
        ipv6.write_text("1")
    capture(["modprobe", "br_netfilter"])
    noted = json.loads(before.read_text()) if before.exists() else {}
    for name, value in SYSCTLS.items():
        setting = Path("/proc/sys", name)
        if not setting.exists():
            raise EngineError(f"the kernel has no {name.replace('/', '.')}", "load the module br_netfilter")
        was = setting.read_text().strip()
        noted.setdefault(name, was)
        if was != value:
            setting.write_text(value)
    before.write_text(json.dumps(noted))


def take_down(before: Path) -> None:
    """Remove the bridge. The bridges' filtering returns to what it was; forwarding stays, for Docker needs it too."""
    capture(["ip", "link", "delete", BRIDGE])
    noted = json.loads(before.read_text()) if before.exists() else {}
    name = "net/bridge/bridge-nf-call-iptables"
    setting = Path("/proc/sys", name)
    if name in noted and setting.exists() and setting.read_text().strip() != noted[name]:
        setting.write_text(noted[name])
