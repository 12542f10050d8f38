"""The constants of hardening. A departure is a named field of the stack's config with a reason, never an edit here."""

from __future__ import annotations

from typing import Final

CAPABILITIES_DROPPED: Final = ("ALL",)
SECURITY_OPTIONS: Final = ("no-new-privileges:true",)
"""Seccomp is not named: Docker's default profile then holds."""

LOG_DRIVER: Final = "json-file"
LOG_OPTIONS: Final = {"max-size": "10m", "max-file": "5"}
"""Docker keeps a container's output for ever otherwise: a server that talks, or a stranger who is refused again and
again, would fill the host's disk."""

GATEWAY_UID: Final = 10_001
FIRST_SERVER_UID: Final = 20_000
SERVER_UIDS: Final = 10_000
FIRST_INSTANCE_UID: Final = 30_000
INSTANCE_UIDS: Final = 30_000
"""A server and a user's instance never share an uid. All are below 65536, because a user namespace maps no more by
default.
"""

TEMPORARY_MIB: Final = 64
TEMPORARY_OPTIONS: Final = "rw,noexec,nosuid,nodev"
"""For /tmp and a server's working folder; nothing that is written there can be run."""
INSTALLING_MIB: Final = 1024
INSTALLING_OPTIONS: Final = "rw,exec,nosuid,nodev"
"""For a server that installs its package at start: what it installs must run."""

NO_RESOLVER: Final = ("127.0.0.1",)
"""A server's only resolver is itself, where nothing answers: names can't be asked for, so nothing leaves in a question.
Engines before 26 would forward the questions of an internal network otherwise."""

INTERNAL_NETWORK_OPTIONS: Final = {"com.docker.network.bridge.inhibit_ipv4": "true"}
"""The host takes no address on a server's network, so that a server can't reach what listens on the host."""

BRIDGED_MEMORY_MIB: Final = 1024
"""A server with a process for each session; the limit is for all of them together."""
CONTAINER_MEMORY_MIB: Final = 512
CPUS: Final = 1.0
BRIDGED_PROCESSES: Final = 1024
CONTAINER_PROCESSES: Final = 256
"""Threads count as processes do: a process of Node.js has about eleven."""
SMALLEST_MEMORY_MIB: Final = 16
