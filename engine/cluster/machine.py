"""What this machine lets a cluster do: read once, decided by plain functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SYS_RESOURCE = 24  # CAP_SYS_RESOURCE (linux/capability.h)
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`may_raise`: whether programs may be made less likely to be killed and given higher limits (CAP_SYS_RESOURCE).

    `resolver`: the resolv.conf for the pods that don't use the cluster's name service.
    """

    may_raise: bool
    resolver: Path


def may_raise(status: str) -> bool:
    """Read /proc/self/status for CAP_SYS_RESOURCE in the effective set."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(found and int(found[1], 16) >> SYS_RESOURCE & 1)


def usable_in_pods(resolv_conf: str) -> bool:
    """Whether a resolv.conf names a server that can be reached from another network namespace than this machine's."""
    servers = re.findall(r"^\s*nameserver\s+(\S+)", resolv_conf, re.MULTILINE)
    return any(not server.startswith("127.") and server != "::1" for server in servers)


def here() -> Machine:
    """Look at this machine."""
    usable = (file for file in RESOLVERS if file.exists() and usable_in_pods(file.read_text()))
    return Machine(may_raise=may_raise(Path("/proc/self/status").read_text()), resolver=next(usable, RESOLVERS[0]))
