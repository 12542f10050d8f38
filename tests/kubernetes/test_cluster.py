"""The cluster itself: what the tests of everything that runs on it rely on."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from engine.cluster import processes
from engine.cluster.network import BRIDGE
from engine.cluster.places import Places
from tests.kubernetes.cluster import IDLE, SERVER, Cluster, pod, until

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def talkers(space: Cluster, image: str) -> tuple[Cluster, str]:
    """Two restricted pods, `server` (port 8080) and `client`. Returns the namespace and the server's address."""
    address = space.run(pod("server", ["perl", "-e", SERVER], image))
    space.run(pod("client", ["bash", "-c", IDLE], image))
    until(lambda: space.reaches("client", address, 8080), "the client reaches the server")
    return space, address


def policy(name: str, *, app: str, kinds: list[str]) -> dict[str, object]:
    """Return a policy that refuses all traffic of these kinds to or from an app's pods."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": kinds},
    }


def server_address(cluster: Cluster) -> str:
    """Return the host of the API server."""
    endpoint = cluster.get("endpointslices", "kubernetes")
    return str(endpoint["endpoints"][0]["addresses"][0])


def test_a_policy_refuses_what_came_in_before_and_its_removal_lets_it_in_again(talkers: tuple[Cluster, str]) -> None:
    space, server = talkers
    space.do("create", "-f", "-", stdin=policy("closed", app="server", kinds=["Ingress"]))
    until(lambda: not space.reaches("client", server, 8080), "the policy closes the server")
    space.do("delete", "networkpolicy", "closed")
    until(lambda: space.reaches("client", server, 8080), "the server is open again")


def test_a_policy_refuses_what_went_out_before_even_to_the_node(talkers: tuple[Cluster, str]) -> None:
    space, server = talkers
    node = server_address(Cluster())
    places = [(server, 8080), (node, 6443), (node, 10250)]
    assert all(space.reaches("client", *place) for place in places), "open without a policy"
    space.do("create", "-f", "-", stdin=policy("closed", app="client", kinds=["Egress"]))
    until(lambda: not any(space.reaches("client", *place) for place in places), "the policy closes all ways out")
    space.do("delete", "networkpolicy", "closed")
    until(lambda: all(space.reaches("client", *place) for place in places), "all ways out are open again")


def test_a_policy_lets_in_whom_it_names(talkers: tuple[Cluster, str], image: str) -> None:
    space, server = talkers
    space.run(pod("stranger", ["bash", "-c", IDLE], image))
    wanted = policy("gateway-only", app="server", kinds=["Ingress"])
    spec = {**wanted["spec"], "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]}  # type: ignore[dict-item]
    space.do("create", "-f", "-", stdin={**wanted, "spec": spec})
    until(lambda: not space.reaches("stranger", server, 8080), "the stranger is kept out")
    assert space.reaches("client", server, 8080)


def test_no_pod_has_a_way_past_the_policies_by_ipv6(talkers: tuple[Cluster, str], own: Places) -> None:
    space, _ = talkers
    assert space.inside("client", "cat /proc/net/if_inet6").out == ""
    assert own.network.exists()
    links = Path("/proc/net/if_inet6").read_text()
    assert BRIDGE not in links


def test_services_are_found_by_name_and_reached_by_their_address(talkers: tuple[Cluster, str]) -> None:
    space, _ = talkers
    space.do("expose", "pod", "server", "--port=80", "--target-port=8080", "--name=greeter")
    name = f"greeter.{space.namespace}.svc.cluster.local"

    def served() -> bool:
        script = f"exec 3<>/dev/tcp/{name}/80 && head -n 1 <&3"
        return space.inside("client", f"timeout 5 bash -c '{script}'").out == "served\n"

    until(served, "the service answers under its name")


def test_a_pod_that_is_not_restricted_is_refused(space: Cluster, image: str) -> None:
    loose = pod("loose", ["bash"], image, container={"securityContext": {}})
    refused = space.ask("create", "-f", "-", stdin=loose)
    assert refused.code != 0
    assert 'violates PodSecurity "restricted' in refused.err


def test_an_admission_policy_decides(space: Cluster) -> None:
    name = f"{space.namespace}.example.org"
    rules = {
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        ]
    }
    policy_spec = {
        "failurePolicy": "Fail",
        "matchConstraints": rules,
        "validations": [{"expression": "object.metadata.name != 'forbidden'", "message": "not this name"}],
    }
    api = "admissionregistration.k8s.io/v1"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}}
    binding_spec = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    for kind, spec in (("ValidatingAdmissionPolicy", policy_spec), ("ValidatingAdmissionPolicyBinding", binding_spec)):
        space.do("create", "-f", "-", stdin={"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec})
    try:
        until(
            lambda: "not this name" in space.ask("create", "configmap", "forbidden", "--dry-run=server").err,
            "the policy is in force",
        )
        space.do("create", "configmap", "allowed")
    finally:
        space.do("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


def test_a_claim_gets_a_volume_that_outlives_its_pod(space: Cluster, image: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    space.do("create", "-f", "-", stdin=claim)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    for name in ("first", "second"):
        owner = pod(name, ["bash", "-c", IDLE], image, volumes=volumes, container=mounts)
        owner["spec"]["securityContext"]["fsGroup"] = 65532
        space.run(owner)
        if name == "first":
            assert space.inside(name, "echo kept > /data/file").code == 0
            space.do("delete", "pod", name)
    assert space.inside("second", "cat /data/file").out == "kept\n"


def test_nobody_is_let_in_without_a_name(cluster: Cluster, own: Places) -> None:
    url = cluster.do("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    context = ssl.create_default_context(cafile=str(next(own.certificates.glob("*/cluster-ca.crt"))))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}/version", context=context, timeout=10)
    assert refused.value.code == 401


def test_secrets_are_not_stored_in_clear(space: Cluster, own: Places) -> None:
    space.do("create", "secret", "generic", "word", "--from-literal=word=find-me-if-you-can")
    stored = b"".join(file.read_bytes() for file in (own.state / "etcd").rglob("*") if file.is_file())
    assert b"find-me-if-you-can" not in stored
    assert b"k8s:enc:secretbox:v1:" in stored
    encoded = space.get("secret", "word")["data"]["word"]
    assert encoded.encode() not in stored


def test_what_is_done_is_written_down_without_its_content(space: Cluster, own: Places) -> None:
    space.do("create", "secret", "generic", "word", "--from-literal=word=find-me-if-you-can")
    lines = (own.logs / "audit.log").read_text().splitlines()
    seen = [event for event in map(json.loads, lines) if event.get("objectRef", {}).get("namespace") == space.namespace]
    made = [event for event in seen if event["verb"] == "create" and event["objectRef"]["resource"] == "secrets"]
    assert [event["user"]["username"] for event in made] == ["mcp-hosting-admin"]
    assert not any("find-me" in line for line in lines)


def test_a_part_that_ended_is_started_again(space: Cluster, own: Places, image: str) -> None:
    before = processes.recorded(own.run)
    os.kill(before["kube-scheduler"].pid, signal.SIGKILL)
    os.kill(before["containerd"].pid, signal.SIGKILL)
    until(lambda: not any(map(processes.alive, (before["kube-scheduler"], before["containerd"]))), "they have ended")
    mended = subprocess.run(
        [sys.executable, "-m", "engine", "cluster"], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert mended.returncode == 0, mended.stderr
    assert "kube-scheduler had ended" in mended.stderr
    after = processes.recorded(own.run)
    assert all(map(processes.alive, after.values()))
    assert after["kubelet"] == before["kubelet"], "what ran was left alone"
    space.run(pod("late", ["bash", "-c", IDLE], image))
