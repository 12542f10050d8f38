"""The parts' configuration files, as text and by file name. JSON is YAML too, so all of Kubernetes' own are JSON."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from engine.cluster.certificates import DOMAIN, NODE
from engine.cluster.machine import Machine
from engine.cluster.network import BRIDGE, Network
from engine.cluster.places import Places

CGROUP = "mcp-hosting"
MAX_PODS = 250
PORT = 6443
# Files by which each of these parts reaches the API server, and the certificate it shows.
CLIENTS = ("controller-manager", "scheduler", "kubelet", "proxy", "kube-router", "volumes")


def text(content: Any) -> str:
    """Return a document as a file's text."""
    return json.dumps(content, indent=2) + "\n"


def server_url(network: Network) -> str:
    """Return the API server's address."""
    return f"https://{network.node}:{PORT}"


def kubeconfig(url: str, user: dict[str, str], authority: dict[str, str]) -> str:
    """Return a kubeconfig with one cluster, one user and one context, all named mcp-hosting."""
    name = "mcp-hosting"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, **authority}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return text(content)


def part_kubeconfig(certificates: Path, name: str, network: Network) -> str:
    """Return the kubeconfig of a part, which refers to its key where that lies."""
    user = {"client-certificate": f"{certificates}/{name}.crt", "client-key": f"{certificates}/{name}.key"}
    return kubeconfig(server_url(network), user, {"certificate-authority": f"{certificates}/cluster-ca.crt"})


def admin_kubeconfig(certificates: Path, network: Network) -> str:
    """Return the user's kubeconfig, which holds all it needs. It is as secret as the administrator's key."""

    def read(name: str) -> str:
        return base64.b64encode((certificates / name).read_bytes()).decode()

    user = {"client-certificate-data": read("admin.crt"), "client-key-data": read("admin.key")}
    return kubeconfig(server_url(network), user, {"certificate-authority-data": read("cluster-ca.crt")})


def encryption(key: str) -> str:
    """Return how Secrets are stored: sealed under `key` (32 bytes in base64), in no case in clear."""
    providers = [{"secretbox": {"keys": [{"name": "first", "secret": key}]}}]
    return text(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": providers}],
        }
    )


def audit_policy() -> str:
    """Return what the API server writes down: who did what to which object, never an object's content."""
    quiet: list[dict[str, Any]] = [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]},
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "None", "verbs": ["get", "list", "watch"], "userGroups": ["system:nodes"]},
        {"level": "None", "verbs": ["list", "watch"], "users": ["system:kube-proxy", "kube-router"]},
    ]
    rules = [*quiet, {"level": "Metadata", "omitStages": ["RequestReceived"]}]
    return text({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules})


def kubelet(places: Places, certificates: Path, network: Network, machine: Machine) -> str:
    """Return the kubelet's configuration (kubelet.config.k8s.io/v1beta1)."""
    return text(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": str(network.node),
            "readOnlyPort": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{certificates}/cluster-ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{certificates}/kubelet-server.crt",
            "tlsPrivateKeyFile": f"{certificates}/kubelet-server.key",
            "tlsMinVersion": "VersionTLS12",
            "healthzBindAddress": "127.0.0.1",
            "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": -999 if machine.may_raise else 0,
            "clusterDomain": DOMAIN,
            "clusterDNS": [str(network.dns)],
            "resolvConf": str(machine.resolver),
            "podLogsDir": f"{places.state}/pod-logs",
            "volumePluginDir": f"{places.state}/kubelet/volume-plugins",
            "maxPods": MAX_PODS,
            "seccompDefault": True,
            "serializeImagePulls": False,
            # Images are given to the cluster by hand and can't be fetched again: they are never cleared away.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%"},
            "shutdownGracePeriod": "0s",
        }
    )


def proxy(config: Path, network: Network, machine: Machine) -> str:
    """Return kube-proxy's configuration (kubeproxy.config.k8s.io/v1alpha1): NodePorts on the node's address only."""
    return text(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": f"{config}/proxy.kubeconfig"},
            "mode": "iptables",
            "hostnameOverride": NODE,
            "bindAddress": str(network.node),
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clusterCIDR": str(network.pods),
            "nodePortAddresses": ["primary"],
            "iptables": {"localhostNodePorts": False},
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "oomScoreAdj": -999 if machine.may_raise else 0,
        }
    )


def containerd(places: Places, plugins: Path, pause: str, machine: Machine) -> str:
    """Return the configuration of the cluster's own containerd, which shares nothing with Docker's."""
    kubernetes = 'plugins."io.containerd.grpc.v1.cri"'
    values: dict[str, dict[str, str | bool | int]] = {
        "": {"version": 2, "root": f"{places.state}/containerd", "state": f"{places.run}/containerd"},
        "grpc": {"address": str(places.containerd_socket)},
        kubernetes: {
            "sandbox_image": pause,
            "restrict_oom_score_adj": not machine.may_raise,
            "netns_mounts_under_state_dir": True,
            "disable_tcp_service": True,
        },
        f"{kubernetes}.containerd": {"snapshotter": "overlayfs", "default_runtime_name": "runc"},
        f"{kubernetes}.containerd.runtimes.runc": {"runtime_type": "io.containerd.runc.v2"},
        f"{kubernetes}.containerd.runtimes.runc.options": {"Root": f"{places.run}/runc"},
        f"{kubernetes}.cni": {"bin_dir": str(plugins), "conf_dir": f"{places.config}/cni"},
    }
    lines = []
    for section, settings in values.items():
        lines += [f"[{section}]"] if section else []
        # JSON's strings, numbers and truth values are TOML's too.
        lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "".join(f"{line}\n" for line in lines)


def pod_network(places: Places, network: Network) -> str:
    """Return how a pod is joined to the bridge (CNI network configuration list 1.0)."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": f"{places.run}/addresses",
            "ranges": [[{"subnet": str(network.pods), "gateway": str(network.node)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    # Policies are enforced for IPv4, the only one in use: pods that talked IPv6 over the bridge would be past them.
    without = {f"net.ipv6.conf.{which}.disable_ipv6": "1" for which in ("all", "default")}
    return text({"cniVersion": "1.0.0", "name": CGROUP, "plugins": [bridge, {"type": "tuning", "sysctl": without}]})


def files(
    places: Places, certificates: Path, network: Network, machine: Machine, *, plugins: Path, pause: str, key: str
) -> dict[str, str]:
    """Return all configuration files by their name under `places.config`."""
    written = {
        "encryption.json": encryption(key),
        "audit.json": audit_policy(),
        "kubelet.json": kubelet(places, certificates, network, machine),
        "proxy.json": proxy(places.config, network, machine),
        "containerd.toml": containerd(places, plugins, pause, machine),
        "cni/10-mcp-hosting.conflist": pod_network(places, network),
    }
    for name in CLIENTS:
        written[f"{name}.kubeconfig"] = part_kubeconfig(certificates, name, network)
    return written
