"""The cluster's parts: which programs run, with which arguments, and which files each of them has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.cluster.certificates import NODE
from engine.cluster.configuration import PORT
from engine.cluster.network import Network
from engine.cluster.places import Places
from engine.cluster.programs import Programs
from engine.content import digest

ETCD_PORT, ETCD_PEER_PORT = 23790, 23800
ISSUER = "https://kubernetes.default.svc.cluster.local"
NODE_PORTS = "30000-32767"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One program. `files` are the names of configuration files that it reads when it starts.

    Its environment is no reason to start it anew: PATH differs between the shells of one user.
    """

    name: str
    argv: tuple[str, ...]
    files: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def key(self, written: Mapping[str, str]) -> str:
        """Return what distinguishes this part from one started with other arguments or files."""
        return digest((*self.argv, *(written[name] for name in self.files)))


def flags(options: Mapping[str, object]) -> tuple[str, ...]:
    """Return command line options in a stable order."""
    return tuple(
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()
    )


def etcd(programs: Programs, places: Places, certificates: Path) -> Part:
    """Return the database: on loopback, for those who show a certificate of its own authority."""
    url, peer = f"https://127.0.0.1:{ETCD_PORT}", f"https://127.0.0.1:{ETCD_PEER_PORT}"
    options = {
        "name": "mcp",
        "data-dir": f"{places.state}/etcd",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"mcp={peer}",
        "client-cert-auth": True,
        "trusted-ca-file": f"{certificates}/etcd-ca.crt",
        "cert-file": f"{certificates}/etcd.crt",
        "key-file": f"{certificates}/etcd.key",
        "peer-client-cert-auth": True,
        "peer-trusted-ca-file": f"{certificates}/etcd-ca.crt",
        "peer-cert-file": f"{certificates}/etcd.crt",
        "peer-key-file": f"{certificates}/etcd.key",
        "auto-compaction-retention": "1h",
        "logger": "zap",
        "log-level": "warn",
    }
    return Part(name="etcd", argv=(str(programs.etcd), *flags(options)))


def api_server(programs: Programs, places: Places, certificates: Path, network: Network) -> Part:
    """Return the API server: on the bridge's address only, nobody without a certificate or token."""
    options: dict[str, object] = {
        "bind-address": network.node,
        "advertise-address": network.node,
        "secure-port": PORT,
        "tls-cert-file": f"{certificates}/apiserver.crt",
        "tls-private-key-file": f"{certificates}/apiserver.key",
        "tls-min-version": "VersionTLS12",
        "client-ca-file": f"{certificates}/cluster-ca.crt",
        "anonymous-auth": False,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "etcd-servers": f"https://127.0.0.1:{ETCD_PORT}",
        "etcd-cafile": f"{certificates}/etcd-ca.crt",
        "etcd-certfile": f"{certificates}/apiserver-etcd.crt",
        "etcd-keyfile": f"{certificates}/apiserver-etcd.key",
        "encryption-provider-config": f"{places.config}/encryption.json",
        "service-account-issuer": ISSUER,
        "service-account-key-file": f"{certificates}/service.pub",
        "service-account-signing-key-file": f"{certificates}/service.key",
        "service-account-extend-token-expiration": False,
        "service-cluster-ip-range": network.services,
        "service-node-port-range": NODE_PORTS,
        "kubelet-certificate-authority": f"{certificates}/cluster-ca.crt",
        "kubelet-client-certificate": f"{certificates}/apiserver-kubelet.crt",
        "kubelet-client-key": f"{certificates}/apiserver-kubelet.key",
        "kubelet-preferred-address-types": "InternalIP",
        "requestheader-client-ca-file": f"{certificates}/front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": f"{certificates}/front-proxy.crt",
        "proxy-client-key-file": f"{certificates}/front-proxy.key",
        "audit-policy-file": f"{places.config}/audit.json",
        "audit-log-path": f"{places.logs}/audit.log",
        "audit-log-maxsize": 50,
        "audit-log-maxbackup": 3,
        "audit-log-maxage": 7,
        "profiling": False,
    }
    return Part(
        name="kube-apiserver",
        argv=(str(programs.kubernetes / "kube-apiserver"), *flags(options)),
        files=("encryption.json", "audit.json"),
    )


def controller_manager(programs: Programs, places: Places, certificates: Path, network: Network) -> Part:
    """Return the controllers, each under a service account of its own."""
    options: dict[str, object] = {
        "kubeconfig": f"{places.config}/controller-manager.kubeconfig",
        "authentication-kubeconfig": f"{places.config}/controller-manager.kubeconfig",
        "authorization-kubeconfig": f"{places.config}/controller-manager.kubeconfig",
        "bind-address": "127.0.0.1",
        "use-service-account-credentials": True,
        "root-ca-file": f"{certificates}/cluster-ca.crt",
        "service-account-private-key-file": f"{certificates}/service.key",
        "allocate-node-cidrs": True,
        "cluster-cidr": network.pods,
        "node-cidr-mask-size": network.pods.prefixlen,
        "service-cluster-ip-range": network.services,
        "flex-volume-plugin-dir": f"{places.state}/kubelet/volume-plugins",
        "leader-elect": False,
        "profiling": False,
    }
    return Part(
        name="kube-controller-manager",
        argv=(str(programs.kubernetes / "kube-controller-manager"), *flags(options)),
        files=("controller-manager.kubeconfig",),
    )


def scheduler(programs: Programs, places: Places) -> Part:
    """Return the scheduler."""
    options: dict[str, object] = {
        "kubeconfig": f"{places.config}/scheduler.kubeconfig",
        "authentication-kubeconfig": f"{places.config}/scheduler.kubeconfig",
        "authorization-kubeconfig": f"{places.config}/scheduler.kubeconfig",
        "bind-address": "127.0.0.1",
        "leader-elect": False,
        "profiling": False,
    }
    return Part(
        name="kube-scheduler",
        argv=(str(programs.kubernetes / "kube-scheduler"), *flags(options)),
        files=("scheduler.kubeconfig",),
    )


def volumes(programs: Programs, places: Places) -> Part:
    """Return what makes a directory for each claim of a volume."""
    options = [f"-kubeconfig={places.config}/volumes.kubeconfig", f"-directory={places.volumes}", f"-node={NODE}"]
    return Part(name="volumes", argv=(str(programs.volumes), *options), files=("volumes.kubeconfig",))


def containerd(programs: Programs, places: Places) -> Part:
    """Return the container runtime."""
    return Part(
        name="containerd",
        argv=(str(programs.containerd), "--config", f"{places.config}/containerd.toml", "--log-level", "warn"),
        files=("containerd.toml",),
        environment={"PATH": programs.path},
    )


def kubelet(programs: Programs, places: Places, network: Network) -> Part:
    """Return the node's agent."""
    options = {
        "config": f"{places.config}/kubelet.json",
        "kubeconfig": f"{places.config}/kubelet.kubeconfig",
        "root-dir": f"{places.state}/kubelet",
        "cert-dir": f"{places.state}/kubelet/pki",
        "hostname-override": NODE,
        "node-ip": network.node,
        "runtime-request-timeout": "2m",
    }
    return Part(
        name="kubelet",
        argv=(str(programs.kubernetes / "kubelet"), *flags(options)),
        files=("kubelet.json", "kubelet.kubeconfig"),
        environment={"PATH": programs.path},
    )


def proxy(programs: Programs, places: Places) -> Part:
    """Return what leads services' addresses to pods."""
    return Part(
        name="kube-proxy",
        argv=(str(programs.kubernetes / "kube-proxy"), f"--config={places.config}/proxy.json"),
        files=("proxy.json", "proxy.kubeconfig"),
        environment={"PATH": programs.path},
    )


def router(programs: Programs, places: Places, network: Network) -> Part:
    """Return what enforces network policies. It routes nothing: the node is alone."""
    options: dict[str, object] = {
        "kubeconfig": f"{places.config}/kube-router.kubeconfig",
        "run-firewall": True,
        "run-router": False,
        "run-service-proxy": False,
        "enable-cni": False,
        "service-cluster-ip-range": network.services,
        "service-node-port-range": NODE_PORTS,
        "health-port": 0,
        "metrics-port": 0,
    }
    return Part(
        name="kube-router",
        argv=(str(programs.kube_router), *flags(options)),
        files=("kube-router.kubeconfig",),
        environment={"PATH": programs.path, "NODE_NAME": NODE},
    )


def everything(programs: Programs, places: Places, certificates: Path, network: Network) -> Sequence[Part]:
    """Return all parts in the order in which they are started; they end in the opposite one."""
    return (
        etcd(programs, places, certificates),
        containerd(programs, places),
        api_server(programs, places, certificates, network),
        controller_manager(programs, places, certificates, network),
        scheduler(programs, places),
        proxy(programs, places),
        kubelet(programs, places, network),
        router(programs, places, network),
        volumes(programs, places),
    )
