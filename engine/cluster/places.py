"""Where the cluster keeps things. There is one on a machine, so the places are the machine's, not the user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """`state` outlives a restart of the machine, `run` (sockets, records of processes) doesn't."""

    state: Path = Path("/var/lib/mcp-hosting/cluster")
    run: Path = Path("/run/mcp-hosting/cluster")

    @property
    def certificates(self) -> Path:
        """Keys and certificates."""
        return self.state / "certificates"

    @property
    def config(self) -> Path:
        """The parts' configuration files."""
        return self.state / "config"

    @property
    def logs(self) -> Path:
        """One file a part, and the audit log."""
        return self.state / "logs"

    @property
    def volumes(self) -> Path:
        """The directories that pods have claimed as volumes."""
        return self.state / "volumes"

    @property
    def network(self) -> Path:
        """The record of the addresses in use."""
        return self.state / "network.json"

    @property
    def before(self) -> Path:
        """The record of kernel settings as they were."""
        return self.state / "before.json"

    @property
    def encryption_key(self) -> Path:
        """The key that Secrets are encrypted under in etcd."""
        return self.certificates / "secrets.key"

    @property
    def containerd_socket(self) -> Path:
        """Where the cluster's containerd listens."""
        return self.run / "containerd.sock"

    @property
    def lock(self) -> Path:
        """Held by the run that is changing the cluster."""
        return self.run.with_suffix(".lock")


def kubeconfig(layout: Layout) -> Path:
    """Return the file by which the user's programs reach the cluster as its administrator."""
    return layout.config / "kubeconfig"
