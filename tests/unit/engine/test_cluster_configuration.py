"""What the cluster's parts are told: closed where it matters, the same from run to run."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.cluster import configuration, machine, network, objects, parts
from engine.cluster.machine import Machine
from engine.cluster.parts import Part
from engine.cluster.places import Places
from engine.cluster.programs import Programs

NETWORK = network.of(197)
PLACES = Places(state=Path("/state"), run=Path("/run/cluster"))
CERTIFICATES = Path("/state/certificates/now")
WEAK = Machine(may_raise=False, resolver=Path("/etc/resolv.conf"))
PROGRAMS = Programs(
    kubernetes=Path("/k"),
    kube_router=Path("/r/kube-router"),
    coredns=Path("/c/coredns"),
    volumes=Path("/v/volumes"),
    pause=Path("/p/pause"),
    etcd=Path("/usr/bin/etcd"),
    containerd=Path("/usr/bin/containerd"),
    plugins=Path("/usr/lib/cni"),
    path="/usr/bin:/usr/sbin",
)


def files(here: Machine = WEAK) -> dict[str, str]:
    return configuration.files(
        PLACES, CERTIFICATES, NETWORK, here, plugins=Path("/usr/lib/cni"), pause="localhost/pause:1", key="c2VjcmV0"
    )


def named(name: str) -> Part:
    return next(part for part in parts.everything(PROGRAMS, PLACES, CERTIFICATES, NETWORK) if part.name == name)


def options(name: str) -> dict[str, str]:
    return dict(word.lstrip("-").partition("=")[::2] for word in named(name).argv[1:])


def test_the_api_server_listens_on_the_bridge_only_and_knows_everyone_it_lets_in() -> None:
    told = options("kube-apiserver")
    assert told["bind-address"] == told["advertise-address"] == str(NETWORK.node)
    assert told["anonymous-auth"] == "false"
    assert told["authorization-mode"] == "Node,RBAC"
    assert told["audit-log-path"].startswith("/state/")
    assert "disable-admission-plugins" not in told, "PodSecurity and ValidatingAdmissionPolicy are on by default"


def test_etcd_and_what_serves_health_only_stay_on_loopback() -> None:
    urls = [value for name, value in options("etcd").items() if name.endswith("urls")]
    assert len(urls) == 4
    assert all(url.startswith("https://127.0.0.1:") for url in urls)
    assert options("etcd")["client-cert-auth"] == options("etcd")["peer-client-cert-auth"] == "true"
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert options(name)["bind-address"] == "127.0.0.1"
    assert options("kube-router")["health-port"] == options("kube-router")["metrics-port"] == "0"


def test_the_kubelet_lets_nobody_in_by_itself_and_keeps_what_it_was_given() -> None:
    told = json.loads(files()["kubelet.json"])
    assert told["authentication"]["anonymous"] == {"enabled": False}
    assert told["authorization"] == {"mode": "Webhook"}
    assert (told["readOnlyPort"], told["address"]) == (0, str(NETWORK.node))
    assert told["imageGCHighThresholdPercent"] == 100


def test_node_ports_are_open_on_the_nodes_own_address_only() -> None:
    told = json.loads(files()["proxy.json"])
    assert told["nodePortAddresses"] == ["primary"]
    assert told["iptables"]["localhostNodePorts"] is False


def test_secrets_are_sealed_and_never_written_in_clear() -> None:
    ((rule),) = json.loads(configuration.encryption("a2V5"))["resources"]
    assert rule["resources"] == ["secrets"]
    assert [next(iter(provider)) for provider in rule["providers"]] == ["secretbox"]


def test_the_audit_never_holds_a_content() -> None:
    levels = {rule["level"] for rule in json.loads(configuration.audit_policy())["rules"]}
    assert levels == {"None", "Metadata"}


@pytest.mark.parametrize(("able", "restricted"), [(True, False), (False, True)])
def test_containerd_does_not_ask_for_what_the_machine_refuses(able: bool, restricted: bool) -> None:
    told = tomllib.loads(files(Machine(may_raise=able, resolver=WEAK.resolver))["containerd.toml"])
    runtime: dict[str, Any] = told["plugins"]["io.containerd.grpc.v1.cri"]
    assert runtime["restrict_oom_score_adj"] is restricted
    assert runtime["sandbox_image"] == "localhost/pause:1"
    assert told["root"].startswith("/state/")
    assert told["grpc"]["address"].startswith("/run/cluster/")


def test_pods_get_addresses_of_the_cluster_by_the_way_of_its_bridge() -> None:
    plugin, tuning = json.loads(files()["cni/10-mcp-hosting.conflist"])["plugins"]
    assert plugin["bridge"] == network.BRIDGE
    assert plugin["ipam"]["ranges"] == [[{"subnet": str(NETWORK.pods), "gateway": str(NETWORK.node)}]]
    assert tuning["sysctl"]["net.ipv6.conf.all.disable_ipv6"] == "1"


def test_no_command_line_holds_a_secret() -> None:
    words = [word for part in parts.everything(PROGRAMS, PLACES, CERTIFICATES, NETWORK) for word in part.argv]
    assert not any("c2VjcmV0" in word for word in words)


def test_a_part_reads_files_that_are_written_and_starts_anew_only_when_they_change() -> None:
    written = files()
    for part in parts.everything(PROGRAMS, PLACES, CERTIFICATES, NETWORK):
        assert set(part.files) <= set(written)
        assert part.key(written) == part.key(files())
    etcd, kubelet = named("etcd"), named("kubelet")
    changed = {**written, "kubelet.json": "{}"}
    assert kubelet.key(changed) != kubelet.key(written)
    assert etcd.key(changed) == etcd.key(written)


def test_a_part_that_reads_a_certificate_starts_anew_with_the_next_one() -> None:
    later = parts.everything(PROGRAMS, PLACES, Path("/state/certificates/next"), NETWORK)
    written = files()
    fresh = configuration.files(
        PLACES,
        Path("/state/certificates/next"),
        NETWORK,
        WEAK,
        plugins=Path("/usr/lib/cni"),
        pause="localhost/pause:1",
        key="c2VjcmV0",
    )
    same = {part.name for part in later if part.key(fresh) == named(part.name).key(written)}
    assert same == {"containerd"}


def test_the_name_service_meets_the_restricted_standard() -> None:
    pod = objects.name_service("localhost/coredns:1")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_no_part_of_the_cluster_reads_secrets_by_the_rights_it_is_given() -> None:
    roles = [content for _, content in objects.wanted(NETWORK, "image") if content["kind"] == "ClusterRole"]
    granted = [resource for role in roles for rule in role["rules"] for resource in rule["resources"]]
    assert roles
    assert "secrets" not in granted
    assert "*" not in granted


@pytest.mark.parametrize(
    ("status", "able"),
    [("CapEff:\t000001fffeffffff\n", False), ("CapEff:\t000001ffffffffff\n", True), ("Name:\tpython\n", False)],
)
def test_the_capability_to_raise_limits_is_read(status: str, able: bool) -> None:
    assert machine.may_raise(status) is able


@pytest.mark.parametrize(
    ("content", "usable"),
    [
        ("nameserver 10.1.1.1\n", True),
        ("nameserver 127.0.0.53\noptions edns0\n", False),
        ("nameserver ::1\nnameserver 192.0.2.53\n", True),
        ("search example.org\n", False),
    ],
)
def test_a_resolver_on_this_machines_loopback_is_of_no_use_to_pods(content: str, usable: bool) -> None:
    assert machine.usable_in_pods(content) is usable
