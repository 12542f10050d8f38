"""Inputs -> bodies of the Docker Engine API, and the engine's answers -> inputs and outputs."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from docker_provider.container_body import create_body, nanoseconds, update_body
from docker_provider.container_state import drifted, imported, outputs
from docker_provider.errors import ProviderError
from docker_provider.network import equal, overlapping
from docker_provider.uploads import archive, files, parents

HARDENED: dict[str, Any] = {
    "name": "web",
    "image": "i:1",
    "command": ["serve"],
    "entrypoints": ["/init"],
    "envs": ["A=1"],
    "labels": [{"label": "mcp-hosting.stack", "value": "s"}],
    "capabilities": {"drops": ["ALL"]},
    "securityOpts": ["no-new-privileges:true"],
    "readOnly": True,
    "tmpfs": {"/tmp": "rw,noexec,size=16m"},
    "user": "10001:10001",
    "memory": 256,
    "memorySwap": 256,
    "cpus": "0.5",
    "ulimits": [{"name": "nproc", "soft": 64, "hard": 64}],
    "networksAdvanced": [{"name": "n1", "ipv4Address": "10.0.0.2", "aliases": ["a"]}, {"name": "n2"}],
    "mounts": [{"type": "volume", "source": "v", "target": "/data", "readOnly": True}],
    "volumes": [
        {"containerPath": "/etc/mcp"},
        {"volumeName": "w", "containerPath": "/w"},
        {"hostPath": "/var/run/docker.sock", "containerPath": "/var/run/docker.sock", "readOnly": True},
    ],
    "ports": [{"internal": 8080, "external": 8765, "ip": "127.0.0.1"}],
    "hosts": [{"host": "example.test", "ip": "10.0.0.9"}],
    "healthcheck": {
        "tests": ["CMD", "true"],
        "interval": "1m30s",
        "timeout": "500ms",
        "startPeriod": "2s",
        "retries": 3,
    },
    "restart": "unless-stopped",
    "runtime": "runsc",
    "init": True,
    "stopTimeout": 7,
    "shmSize": 8,
    "logDriver": "json-file",
    "logOpts": {"max-size": "1m"},
}


def test_a_hardened_container_asks_for_all_of_it() -> None:
    body = create_body(HARDENED)
    host = body.pop("HostConfig")
    assert body == {
        "Image": "i:1",
        "User": "10001:10001",
        "Env": ["A=1"],
        "Cmd": ["serve"],
        "Entrypoint": ["/init"],
        "Labels": {"mcp-hosting.stack": "s"},
        "ExposedPorts": {"8080/tcp": {}},
        "Volumes": {"/etc/mcp": {}},
        "StopTimeout": 7,
        "Healthcheck": {
            "Test": ["CMD", "true"],
            "Interval": 90 * 10**9,
            "Timeout": 5 * 10**8,
            "StartPeriod": 2 * 10**9,
            "Retries": 3,
        },
        "NetworkingConfig": {"EndpointsConfig": {"n1": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}}},
    }
    assert host == {
        "Memory": 256 * 2**20,
        "MemorySwap": 256 * 2**20,
        "NanoCpus": 5 * 10**8,
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "NetworkMode": "n1",
        "Binds": ["w:/w:rw", "/var/run/docker.sock:/var/run/docker.sock:ro"],
        "VolumesFrom": [],
        "Mounts": [{"Type": "volume", "Source": "v", "Target": "/data", "ReadOnly": True}],
        "Tmpfs": {"/tmp": "rw,noexec,size=16m"},
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8765"}]},
        "CapDrop": ["ALL"],
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges:true"],
        "ExtraHosts": ["example.test:10.0.0.9"],
        "Ulimits": [{"Name": "nproc", "Soft": 64, "Hard": 64}],
        "ShmSize": 8 * 2**20,
        "Runtime": "runsc",
        "Init": True,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
    }


def test_uploads_are_no_part_of_what_inspect_shows() -> None:
    assert "hunter2" not in str(create_body(HARDENED | {"uploads": [{"file": "/f", "content": "hunter2"}]}))


def test_every_supported_property_reaches_the_engine_or_is_the_providers_own() -> None:
    from docker_provider.container_fields import CONTAINER
    from docker_provider.fields import Kind

    own = {"attach", "logs", "mustRun", "start", "wait", "waitTimeout", "rm", "removeVolumes", "destroyGraceSeconds"}
    own |= {"containerReadRefreshTimeoutMilliseconds", "name", "uploads", "image", "networksAdvanced", "rm"}
    samples: dict[Kind, Any] = {
        Kind.STRING: "1",
        Kind.INTEGER: 7,
        Kind.BOOLEAN: True,
        Kind.STRINGS: ["x"],
        Kind.MAP: {"k": "v"},
    }
    for name, field in CONTAINER.items():
        if name in own or field.kind not in samples:
            continue
        assert create_body({"image": "i", name: samples[field.kind]}) != create_body({"image": "i"}), name


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("90s", 90), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25)])
def test_durations(text: str, seconds: float) -> None:
    assert nanoseconds(text) == seconds * 10**9


def test_cpus_have_precedence_over_the_quota_that_the_engine_refuses_beside_them() -> None:
    assert "CpuQuota" not in update_body({"cpus": "1", "cpuQuota": 5})
    assert update_body({"cpuQuota": 5, "memorySwap": -1})["CpuQuota"] == 5
    assert update_body({"memorySwap": -1})["MemorySwap"] == -1


def test_more_memory_takes_the_swap_along_that_the_engine_set_with_it() -> None:
    assert update_body({"memory": 64})["MemorySwap"] == 128 * 2**20
    assert update_body({"memory": 64, "memorySwap": 64})["MemorySwap"] == 64 * 2**20


def inspected(**host: Any) -> dict[str, Any]:
    network = {"IPAddress": "10.0.0.2", "IPAMConfig": {"IPv4Address": "10.0.0.2"}, "NetworkID": "f" * 64}
    return {
        "Name": "/web",
        "State": {"Running": True, "ExitCode": 0},
        "Config": {"Image": "i:1", "Hostname": "abc", "Cmd": ["serve"], "Env": ["PATH=/bin", "A=1"], "User": "10001"},
        "HostConfig": {
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "LogConfig": {"Type": "json-file", "Config": {}},
            "NetworkMode": "n1",
            "Memory": 256 * 2**20,
            "MemorySwap": 512 * 2**20,
            "NanoCpus": 5 * 10**8,
            **host,
        },
        "NetworkSettings": {"Networks": {"n1": network, "n2": {"IPAddress": "10.0.1.2"}}, "Ports": {}},
    }


def test_a_network_joined_at_run_time_and_limits_the_kernel_lacks_are_no_drift() -> None:
    inputs = {"name": "web", "memory": 256, "cpus": "0.50", "cpuShares": 512, "networksAdvanced": [{"name": "n1"}]}
    assert drifted(inputs, inspected(CpuShares=0, MemorySwap=-1)) == inputs


def test_what_was_changed_behind_the_programs_back_is_drift() -> None:
    networks = [{"name": "n1", "ipv4Address": "10.0.0.3"}, {"name": "n2"}, {"name": "gone"}, {"name": "f" * 64}]
    inputs = {"name": "old", "memory": 128, "cpus": "2", "restart": "no", "networksAdvanced": networks}
    assert drifted(inputs, inspected()) == {
        "name": "web",
        "memory": 256,
        "cpus": "0.5",
        "restart": "unless-stopped",
        "networksAdvanced": [{"name": "n2"}, {"name": "f" * 64}],
    }


def test_outputs_keep_what_the_program_said() -> None:
    found = outputs({"hostname": "mine", "command": ["given"]}, inspected())
    assert (found["hostname"], found["command"], found["logDriver"]) == ("mine", ["given"], "json-file")
    assert [data["networkName"] for data in found["networkDatas"]] == ["n1", "n2"]
    assert "exitCode" not in found


def test_an_import_leaves_to_the_image_what_the_image_says() -> None:
    image = {"Config": {"Cmd": ["serve"], "Env": ["PATH=/bin"]}}
    found = imported(inspected(), image)
    assert found["envs"] == ["A=1"]
    assert "command" not in found
    assert (found["name"], found["image"], found["memory"], found["cpus"]) == ("web", "i:1", 256, "0.5")


def test_a_file_goes_to_the_deepest_writable_volume_above_it() -> None:
    inputs = {
        "volumes": [
            {"containerPath": "/run"},
            {"containerPath": "/run/mcp"},
            {"containerPath": "/ro", "readOnly": True},
        ],
        "uploads": [
            {"file": "/run/mcp/a/b/token", "content": "é", "permissions": "0400", "owner": "10001"},
            {"file": "/ro/x", "contentBase64": "AAE=", "executable": True},
        ],
    }
    first, second = files(inputs)
    assert (first.destination, first.path, first.mode, first.owner) == ("/run/mcp", "a/b/token", 0o400, 10001)
    assert (second.destination, second.path, second.mode, second.content) == ("/", "ro/x", 0o744, b"\x00\x01")
    assert parents(first) == ["a", "a/b"]
    with tarfile.open(fileobj=io.BytesIO(archive(first, ["a", "a/b"]))) as tar:
        assert [(entry.name, oct(entry.mode)) for entry in tar] == [
            ("a", "0o755"),
            ("a/b", "0o755"),
            ("a/b/token", "0o400"),
        ]


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"cannot read the source .*missing"):
        files({"uploads": [{"file": "/f", "source": str(tmp_path / "missing")}]})


NETWORK = {
    "Driver": "bridge",
    "Internal": True,
    "Labels": {"a": "b"},
    "Options": {"x": "y"},
    "IPAM": {"Config": [{"Subnet": "10.0.0.0/29", "Gateway": "10.0.0.1"}]},
}


def test_equal_networks() -> None:
    inputs = {"internal": True, "labels": [{"label": "a", "value": "b"}], "ipamConfigs": [{"subnet": "10.0.0.0/29"}]}
    assert equal(inputs, NETWORK)
    assert not equal(inputs | {"internal": False}, NETWORK)
    assert not equal(inputs | {"ipamConfigs": [{"subnet": "10.0.0.0/28"}]}, NETWORK)
    assert not equal(inputs | {"options": {"x": "z"}}, NETWORK)
    assert not equal(inputs | {"labels": []}, NETWORK)


@pytest.mark.parametrize(("subnet", "expected"), [("10.0.0.0/28", True), ("10.0.0.8/29", False), ("fd00::/64", False)])
def test_overlapping_networks(subnet: str, expected: bool) -> None:
    assert overlapping({"ipamConfigs": [{"subnet": subnet}]}, NETWORK) is expected
