"""What a new cluster is given: rights for its own parts, a storage class, the name service."""

from __future__ import annotations

from typing import Any

from engine.cluster.certificates import DOMAIN, KUBELET_CLIENT, VOLUMES
from engine.cluster.network import Network

Rule = tuple[str, list[str], list[str]]
READ = ["get", "list", "watch"]
RBAC = "rbac.authorization.k8s.io"
SYSTEM = "kube-system"
DNS_LABELS = {"k8s-app": "kube-dns"}
DNS_DEPLOYMENT = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/coredns"

COREFILE = f""".:53 {{
    errors
    health :8080 {{
        lameduck 5s
    }}
    ready :8181
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . /etc/resolv.conf {{
        max_concurrent 1000
    }}
    cache 30
    reload
    loadbalance
}}
"""


def role(name: str, rules: list[tuple[str, list[str]]], more: tuple[Rule, ...] = ()) -> dict[str, Any]:
    """Return a ClusterRole. `rules` are what it reads: an API group and its resources; `more` name their verbs."""
    granted = [*((group, kinds, READ) for group, kinds in rules), *more]
    listed = [{"apiGroups": [group], "resources": kinds, "verbs": verbs} for group, kinds, verbs in granted]
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": listed}


def binding(name: str, target: str, subject: dict[str, str]) -> dict[str, Any]:
    """Return a ClusterRoleBinding."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": target},
        "subjects": [subject],
    }


def user(name: str) -> dict[str, str]:
    """Return a user as the subject of a binding."""
    return {"apiGroup": RBAC, "kind": "User", "name": name}


def name_service(image: str) -> dict[str, Any]:
    """Return CoreDNS's Deployment. It meets the restricted Pod Security Standard."""

    def probe(path: str, port: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": port}, "periodSeconds": 5, "failureThreshold": 5}

    container = {
        "name": "coredns",
        "image": image,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "20m", "memory": "40Mi"}},
        "livenessProbe": probe("/health", 8080),
        "readinessProbe": {**probe("/ready", 8181), "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
            # Port 53 for a user without rights: policies speak of the port that the pod listens on.
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "53"}],
        },
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": SYSTEM, "labels": DNS_LABELS},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": DNS_LABELS},
            "template": {"metadata": {"labels": DNS_LABELS}, "spec": pod},
        },
    }


def storage_class() -> dict[str, Any]:
    """Return the class of volumes on this machine, the default one."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "mcp-hosting/volumes",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def wanted(network: Network, coredns: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the objects with the paths that they are applied under, in order. `coredns` is an image's name."""
    names = {"namespace": SYSTEM, "name": "coredns"}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": SYSTEM, "labels": DNS_LABELS},
        "spec": {"clusterIP": str(network.dns), "selector": DNS_LABELS, "ports": ports},
    }
    roles = f"/apis/{RBAC}/v1/clusterroles"
    bindings = f"/apis/{RBAC}/v1/clusterrolebindings"
    core = f"/api/v1/namespaces/{SYSTEM}"
    router = [
        ("", ["namespaces", "pods", "services", "nodes", "endpoints"]),
        ("networking.k8s.io", ["networkpolicies"]),
        ("discovery.k8s.io", ["endpointslices"]),
    ]
    dns = [("", ["endpoints", "services", "pods", "namespaces"]), ("discovery.k8s.io", ["endpointslices"])]
    claims = [("", ["persistentvolumes", "persistentvolumeclaims", "nodes"]), ("storage.k8s.io", ["storageclasses"])]
    made: tuple[Rule, ...] = (
        ("", ["persistentvolumes"], ["create", "delete", "patch", "update"]),
        ("", ["persistentvolumeclaims"], ["patch", "update"]),
        ("", ["events"], ["create", "patch", "update"]),
    )
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": SYSTEM}
    return (
        (
            f"{bindings}/mcp-hosting:kubelet-api",
            binding("mcp-hosting:kubelet-api", "system:kubelet-api-admin", user(KUBELET_CLIENT)),
        ),
        (f"{roles}/mcp-hosting:kube-router", role("mcp-hosting:kube-router", router)),
        (
            f"{bindings}/mcp-hosting:kube-router",
            binding("mcp-hosting:kube-router", "mcp-hosting:kube-router", user("kube-router")),
        ),
        (f"{roles}/mcp-hosting:volumes", role("mcp-hosting:volumes", claims, made)),
        (f"{bindings}/mcp-hosting:volumes", binding("mcp-hosting:volumes", "mcp-hosting:volumes", user(VOLUMES))),
        ("/apis/storage.k8s.io/v1/storageclasses/standard", storage_class()),
        (f"{core}/serviceaccounts/coredns", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": names}),
        (f"{roles}/mcp-hosting:coredns", role("mcp-hosting:coredns", dns)),
        (f"{bindings}/mcp-hosting:coredns", binding("mcp-hosting:coredns", "mcp-hosting:coredns", account)),
        (
            f"{core}/configmaps/coredns",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": names, "data": {"Corefile": COREFILE}},
        ),
        (f"{core}/services/kube-dns", service),
        (DNS_DEPLOYMENT, name_service(coredns)),
    )
