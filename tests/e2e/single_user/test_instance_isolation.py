"""What an instance is allowed and what it can reach, read from the engine and tried from inside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.e2e.deployed import STACK, Deployed
from tests.e2e.sign_in import Person
from tests.e2e.single_user.instances import Caller, instances, name_of, subject
from tests.e2e.single_user.people import Callers, Secrets
from tests.gateway.rules import rule

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]

SERVERS = ("fixture-personal", "bridged-personal", "memory")
VOLUMES = Path("/var/lib/docker/volumes")


async def running(callers: Callers, person: Person, server: str) -> tuple[Caller, dict[str, Any]]:
    """The person's instance, started if need be, and what the engine says of it."""
    tools = {"fixture-personal": "whoami_instance", "bridged-personal": "get-env", "memory": "read_graph"}
    caller = await callers.of(person, server)
    await caller.tell(tools[server])
    container = docker.from_env().containers.get(name_of(server, subject(caller.token)))
    return caller, dict(container.attrs)


def addresses(attributes: dict[str, Any]) -> list[str]:
    networks = attributes["NetworkSettings"]["Networks"].values()
    return [each["IPAddress"] for each in networks if each["IPAddress"]]


@pytest.mark.parametrize("server", SERVERS)
async def test_the_engine_holds_an_instance_to_its_limits(
    alice: Person, given: Secrets, callers: Callers, server: str
) -> None:
    _, attributes = await running(callers, alice, server)
    host = attributes["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["ReadonlyRootfs"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert not any("unconfined" in option or "disable" in option for option in host["SecurityOpt"])
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["NanoCpus"] > 0 or host["CpuQuota"] > 0
    assert any(limit["Name"] == "nproc" for limit in host["Ulimits"]) or host["PidsLimit"] > 0
    assert int(attributes["Config"]["User"].split(":")[0]) >= 30_000
    assert host["PidMode"] == ""
    assert host["IpcMode"] in {"private", "none", "shareable"}
    assert host["RestartPolicy"]["Name"] in {"", "no"}
    assert not host["PortBindings"]
    assert not host["Devices"]
    assert not [mount for mount in attributes["Mounts"] if mount["Type"] == "bind"]


async def test_two_peoples_instances_share_nothing(
    alice: Person, bob: Person, given: Secrets, callers: Callers
) -> None:
    engine = docker.from_env()
    seen: list[dict[str, Any]] = []
    for person in (alice, bob):
        for server in SERVERS:
            attributes = (await running(callers, person, server))[1]
            # Looked at now: by the time that all have been called, the first may have been stopped for want of use.
            (name,) = attributes["NetworkSettings"]["Networks"]
            network = engine.networks.get(name).attrs
            assert network["Internal"]
            members = {member["Name"] for member in network["Containers"].values()}
            assert members == {attributes["Name"].lstrip("/"), f"mcp-{STACK}-gateway-edge"}
            seen.append(attributes)
    networks = [name for attributes in seen for name in attributes["NetworkSettings"]["Networks"]]
    volumes = [mount["Name"] for attributes in seen for mount in attributes["Mounts"] if mount["Type"] == "volume"]
    users = [attributes["Config"]["User"] for attributes in seen]
    assert len(set(networks)) == len(networks) == len(seen)
    assert len(set(volumes)) == len(volumes)
    assert len(set(users)) == len(users)


@rule(97, 99)
async def test_an_instance_reaches_nothing_but_its_caller(
    deployed: Deployed,
    alice: Person,
    bob: Person,
    given: Secrets,
    callers: Callers,
    metadata_host: str,
    host_service: int,
) -> None:
    caller, own = await running(callers, alice, "fixture-personal")
    (address,) = addresses(own)
    prefix, _, last = address.rpartition(".")
    others = {}
    for person, server, port in ((bob, "fixture-personal", 3000), (bob, "memory", 8080), (alice, "memory", 8080)):
        _, attributes = await running(callers, person, server)
        others[f"{person.login}'s {server}"] = (addresses(attributes)[0], port)
    edge, control = (attributes_of(deployed.container(f"gateway-{part}")) for part in ("edge", "control"))
    host = subprocess.run(["hostname", "-I"], check=True, capture_output=True, text=True).stdout.split()
    targets = {
        **others,
        **{f"shared server {each}": (each, 8080) for each in addresses(attributes_of(deployed.container("time")))},
        **{f"control {each}": (each, 8080) for each in addresses(control)},
        **{f"edge outside {each}": (each, 8080) for each in addresses(edge) if not each.startswith(f"{prefix}.")},
        **{f"host {each}": (each, host_service) for each in host if ":" not in each},
        "own network's first address": (f"{prefix}.{int(last) - 1}", host_service),
        "metadata address": (metadata_host, 80),
    }
    for name, (target, port) in targets.items():
        found = json.loads(await caller.tell("connect", host=target, port=port, seconds=1))
        assert found["outcome"] != "ok", (name, target, found)
    found = json.loads(await caller.tell("connect", host=address, port=3000, seconds=1))
    assert found["outcome"] == "ok", "the probe itself works: the instance reaches its own port"
    for host_name in (
        "example.com",
        f"mcp-{STACK}-gateway-control",
        f"mcp-{STACK}-memory",
        *(str(each.name) for each in instances()),
    ):
        if host_name != own["Name"].lstrip("/"):
            assert not (await caller.ask("resolve", name=host_name)).worked, host_name
    # The engine names to each network who is on it: here the caller, by the address that nothing listens on.
    edge_name = await caller.ask("resolve", name=f"mcp-{STACK}-gateway-edge")
    assert not edge_name.worked or all(each.startswith(f"{prefix}.") for each in json.loads(edge_name.text))
    for path in (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/launcher/launcher.sock",
        "/run/gateway/control.sock",
        "/templates/instances.json",
        "/state/gateway.db",
        "/keys/master.key",
        "/delivery/gateway.json",
    ):
        assert "ENOENT" in (await caller.ask("read_file", path=path)).error, path
    for path in ("/etc/x", "/app/x", "/run/mcp/x", "/run/mcp/files/x"):
        assert not (await caller.ask("write_file", path=path)).worked, path
    kernel = json.loads(await caller.tell("privileges"))
    assert int(kernel["CapEff"][0], 16) == int(kernel["CapBnd"][0], 16) == 0
    assert kernel["NoNewPrivs"] == ["1"]
    assert kernel["Seccomp"] == ["2"]
    processes = json.loads(await caller.tell("list_processes"))
    assert {line.split(" ")[0].rpartition("/")[2] for line in processes.values() if line} <= {"python", "python3"}
    assert json.loads(await caller.tell("fork", count=1000))["started"] < 600


async def test_the_edges_side_of_an_instances_network_serves_no_instance(
    alice: Person, given: Secrets, callers: Callers, deployed: Deployed
) -> None:
    """The edge listens there as everywhere; it gives an instance what it gives a stranger, and nothing internal."""
    caller, own = await running(callers, alice, "fixture-personal")
    (address,) = addresses(own)
    prefix = address.rpartition(".")[0]
    (edge,) = [
        each for each in addresses(attributes_of(deployed.container("gateway-edge"))) if each.startswith(f"{prefix}.")
    ]
    for path in ("/internal/edge", "/internal/instances", "/servers/memory", "/mcp-connect/memory"):
        found = json.loads(await caller.tell("connect", host=edge, port=8080, path=path, seconds=1))
        assert found["outcome"] != "ok" or " 200 " not in f"{found['http']} ", (path, found)


def test_the_launcher_has_only_what_it_needs(deployed: Deployed) -> None:
    attributes = attributes_of(deployed.container("gateway-launcher"))
    mounts = {
        mount["Destination"]: (mount["Type"], mount.get("Name") or mount["Source"], mount["RW"])
        for mount in attributes["Mounts"]
    }
    assert mounts.pop("/var/run/docker.sock")[:2] == ("bind", "/var/run/docker.sock")
    assert mounts == {
        "/run/launcher": ("volume", f"mcp-{STACK}-gateway-launcher", True),
        "/templates": ("volume", f"mcp-{STACK}-gateway-templates", False),
    }
    assert attributes["HostConfig"]["NetworkMode"] == "none"
    for container in deployed.containers():
        attributes = attributes_of(container)
        sockets = [mount["Destination"] for mount in attributes["Mounts"] if "launcher" in str(mount.get("Name"))]
        role = attributes["Config"]["Labels"]["mcp-hosting.role"]
        assert not sockets or role in {"launcher", "control"}, container.name
        templates = [mount for mount in attributes["Mounts"] if str(mount.get("Name")).endswith("gateway-templates")]
        assert not templates or role == "launcher" or str(container.name).endswith("gateway-templates"), container.name


async def test_no_users_value_shows_in_the_engine_the_logs_the_processes_or_a_volume(
    deployed: Deployed, alice: Person, bob: Person, given: Secrets, callers: Callers
) -> None:
    for person in (alice, bob):
        for server in SERVERS:
            await running(callers, person, server)
    places: dict[str, bytes] = {}
    for container in deployed.containers():
        attributes = attributes_of(container)
        places[f"inspect {container.name}"] = json.dumps(attributes, ensure_ascii=False).encode()
        places[f"log {container.name}"] = container.logs()
        if container.status == "running":
            # A process's own environment is its user's to see; the list is of arguments.
            places[f"processes {container.name}"] = json.dumps(
                container.top(ps_args="axww"), ensure_ascii=False
            ).encode()
    for volume in docker.from_env().volumes.list(filters={"label": f"mcp-hosting.stack={STACK}"}):
        for file in (VOLUMES / str(volume.name)).rglob("*"):
            if file.is_file():
                places[f"volume {file}"] = file.read_bytes()
    for file in deployed.home.rglob("*"):
        if file.is_file():
            places[f"state {file.name}"] = file.read_bytes()
    assert any("gateway.db" in place for place in places), "the database is among what is searched"
    for secret in given.all():
        forms = {secret.encode(), json.dumps(secret)[1:-1].encode()}
        assert [place for place, content in places.items() if any(form in content for form in forms)] == []


def attributes_of(container: Container) -> dict[str, Any]:
    container.reload()
    return dict(container.attrs)
