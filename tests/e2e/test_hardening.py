"""What a hosted server is allowed: read from the engine, and tried from inside the server."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import docker
import pytest
from docker.models.containers import Container
from mcp import Client
from mcp.types import CallToolResult

from tests.e2e.deployed import STACK, Deployed
from tests.e2e.sign_in import Person
from tests.e2e.test_quickstart import call, text
from tests.gateway.rules import rule

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(1800)]

HOSTED = ("everything", "time", "sqlite", "sequential-thinking", "fixture")


def inspected(deployed: Deployed, part: str) -> dict[str, Any]:
    container = deployed.container(part)
    container.reload()
    return dict(container.attrs)


@pytest.mark.parametrize("part", [*HOSTED, "gateway-edge", "gateway-control"])
def test_the_engine_holds_the_container_to_its_limits(deployed: Deployed, part: str) -> None:
    attributes = inspected(deployed, part)
    host = attributes["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["ReadonlyRootfs"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert not any("unconfined" in option for option in host["SecurityOpt"])
    assert host["Memory"] > 0
    assert host["MemorySwap"] == host["Memory"]
    assert host["NanoCpus"] > 0 or host["CpuQuota"] > 0
    assert host["PidsLimit"] > 0
    assert any(limit["Name"] == "nproc" for limit in host["Ulimits"])
    assert int(attributes["Config"]["User"].split(":")[0]) > 0
    assert host["PidMode"] == ""
    assert host["IpcMode"] in {"private", "none", "shareable"}
    assert not any("docker.sock" in mount["Source"] for mount in attributes["Mounts"])
    assert not any(mount["Type"] == "bind" for mount in attributes["Mounts"])


def test_each_server_runs_under_a_user_of_its_own(deployed: Deployed) -> None:
    users = [inspected(deployed, part)["Config"]["User"] for part in HOSTED]
    assert len(set(users)) == len(users)


def test_each_server_has_a_network_of_its_own_without_a_way_out(deployed: Deployed) -> None:
    engine = docker.from_env()
    for part in HOSTED:
        (name,) = inspected(deployed, part)["NetworkSettings"]["Networks"]
        network = engine.networks.get(name).attrs
        assert network["Internal"]
        members = {member["Name"] for member in network["Containers"].values()}
        assert members == {f"mcp-{STACK}-{part}", f"mcp-{STACK}-gateway-edge"}


def test_only_the_launcher_has_the_docker_socket_and_it_has_no_network(deployed: Deployed) -> None:
    attributes = inspected(deployed, "gateway-launcher")
    assert [mount["Source"] for mount in attributes["Mounts"] if mount["Type"] == "bind"] == ["/var/run/docker.sock"]
    assert attributes["HostConfig"]["NetworkMode"] == "none"
    assert attributes["HostConfig"]["CapDrop"] == ["ALL"]
    assert attributes["HostConfig"]["ReadonlyRootfs"]


async def refused(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error, (tool, arguments, text(result))
    return text(result)


def addresses(container: Container) -> list[str]:
    container.reload()
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    return [each["IPAddress"] for each in networks if each["IPAddress"]]


@rule(97, 99)
@pytest.mark.browser
async def test_a_server_reaches_nothing_but_its_callers(
    deployed: Deployed, alice: Person, metadata_host: str, host_service: int
) -> None:
    fixture_network = next(iter(inspected(deployed, "fixture")["NetworkSettings"]["Networks"].values()))
    own = fixture_network["IPAddress"]
    prefix = own.rsplit(".", 1)[0]
    last = int(own.rsplit(".", 1)[1])
    host_addresses = subprocess.run(["hostname", "-I"], check=True, capture_output=True, text=True).stdout.split()
    targets = {
        **{
            f"server {part}": (address, 8080) for part in HOSTED[:-1] for address in addresses(deployed.container(part))
        },
        "metadata address": (metadata_host, 80),
        "own network's first address": (f"{prefix}.{last - 1}", host_service),
        **{f"host {address}": (address, host_service) for address in host_addresses if ":" not in address},
        **{
            f"edge outside {address}": (address, 8080)
            for address in addresses(deployed.container("gateway-edge"))
            if not address.startswith(f"{prefix}.")
        },
        **{f"control {address}": (address, 8080) for address in addresses(deployed.container("gateway-control"))},
    }
    async with alice.connect(deployed.server("fixture")) as client:
        for name, (address, port) in targets.items():
            answer = json.loads(await call(client, "connect", {"host": address, "port": port, "seconds": 2}))
            assert answer["outcome"] != "ok", (name, address, answer)
        answer = json.loads(await call(client, "connect", {"host": own, "port": 3000, "seconds": 2}))
        assert answer["outcome"] == "ok", "the probe itself works: the server reaches its own port"
        await refused(client, "resolve", {"name": "example.com"})
        for path in ("/var/run/docker.sock", "/state/gateway.db", "/keys/master.key", "/run/gateway/control.sock"):
            assert "ENOENT" in await refused(client, "read_file", {"path": path})
        for path in ("/etc/x", "/app/x", "/run/mcp/x"):
            await refused(client, "write_file", {"path": path})
        forked = json.loads(await call(client, "fork", {"count": 1000}))
        assert forked["started"] < 600
        kernel = json.loads(await call(client, "privileges", {}))
        assert int(kernel["CapEff"][0], 16) == int(kernel["CapBnd"][0], 16) == 0
        assert kernel["NoNewPrivs"] == ["1"]
        assert kernel["Seccomp"] == ["2"]
        assert not {"MCP_TOKEN", "PULUMI_CONFIG_PASSPHRASE"} & set(json.loads(await call(client, "list_env_names", {})))


@pytest.mark.browser
async def test_the_probe_would_find_an_open_way(
    deployed: Deployed, alice: Person, metadata_host: str, host_service: int
) -> None:
    """From a network that isn't internal the same probe reaches host and metadata: so that the test above can fail."""
    engine = docker.from_env()
    network = engine.networks.create("mcp-e2e-open-way", driver="bridge")
    try:
        network.connect(f"mcp-{STACK}-fixture")
        gateway = engine.networks.get("mcp-e2e-open-way").attrs["IPAM"]["Config"][0]["Gateway"]
        async with alice.connect(deployed.server("fixture")) as client:
            for address, port in ((gateway, host_service), (metadata_host, 80)):
                answer = json.loads(await call(client, "connect", {"host": address, "port": port, "seconds": 2}))
                assert answer["outcome"] == "ok", (address, answer)
    finally:
        network.disconnect(f"mcp-{STACK}-fixture")
        network.remove()


def test_no_secret_shows_in_the_engine_the_logs_the_processes_or_the_state(deployed: Deployed) -> None:
    secrets = [value.encode() for value in deployed.outputs["passwords"].values()]
    places: dict[str, bytes] = {}
    for container in deployed.containers():
        container.reload()
        places[f"inspect {container.name}"] = json.dumps(container.attrs).encode()
        places[f"log {container.name}"] = container.logs()
        if container.status == "running":
            places[f"processes {container.name}"] = json.dumps(container.top(ps_args="axeww")).encode()
        if container.image is not None:
            places[f"layers {container.name}"] = json.dumps(container.image.history()).encode()
    for file in deployed.home.rglob("*"):
        if file.is_file():
            places[f"state {file.name}"] = file.read_bytes()
    for place, content in places.items():
        for secret in secrets:
            assert secret not in content, place
