"""The launcher against a real engine: networks and containers of the test's own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

LAUNCHER = Path(__file__).parents[2] / "images" / "launcher"
IMAGE = "debian:bookworm-slim"
DOCKERFILE = f"""
FROM {IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends python3
COPY mcp_launcher /usr/lib/python3/dist-packages/mcp_launcher
ENTRYPOINT ["/usr/bin/python3", "-I", "-m", "mcp_launcher"]
"""
ROLE, STACK = "mcp-hosting.role", "mcp-hosting.stack"


@dataclass
class Stage:
    """A stack of its own: a name, addresses, and everything made under its label."""

    client: docker.DockerClient
    stack: str
    octet: int
    networks: dict[str, Any] = field(default_factory=dict)

    def network(self, server: str, index: int, *, role: str = "server") -> Any:
        base = f"10.213.{self.octet}."
        labels = {STACK: self.stack, ROLE: role, "mcp-hosting.edge-address": f"{base}{index * 8 + 3}"}
        pool = IPAMPool(subnet=f"{base}{index * 8}/29")
        network = self.client.networks.create(
            f"mcp-{self.stack}-{server}", internal=True, labels=labels, ipam=IPAMConfig(pool_configs=[pool])
        )
        self.networks[server] = network
        return network

    def start(self, name: str, role: str, *, network: str | None = None, **options: Any) -> Any:
        labels = {STACK: self.stack, ROLE: role} | options.pop("labels", {})
        return self.client.containers.run(
            IMAGE,
            ["sleep", "600"],
            name=f"mcp-{self.stack}-{name}",
            labels=labels,
            network=network or "none",
            detach=True,
            stop_signal="SIGKILL",
            **options,
        )

    def edge_address(self, edge: Any, server: str) -> str | None:
        edge.reload()
        joined = edge.attrs["NetworkSettings"]["Networks"].get(f"mcp-{self.stack}-{server}")
        return str(joined["IPAddress"]) if joined else None

    def clear(self) -> None:
        for container in self.client.containers.list(all=True, filters={"label": f"{STACK}={self.stack}"}):
            container.remove(force=True)
        for network in self.client.networks.list(filters={"label": f"{STACK}={self.stack}"}):
            network.remove()


@pytest.fixture
def stage() -> Iterator[Stage]:
    client = docker.from_env()
    made = Stage(client=client, stack=f"lt{os.getpid()}x{time.monotonic_ns() % 100_000}", octet=os.getpid() % 256)
    client.networks.create(f"mcp-{made.stack}-gateway", labels={STACK: made.stack, ROLE: "gateway"})
    try:
        yield made
    finally:
        made.clear()


@pytest.fixture
def launcher(stage: Stage, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    log = tmp_path / "launcher.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mcp_launcher",
                f"--stack={stage.stack}",
                f"--socket-path={tmp_path / 'launcher.sock'}",
                f"--templates-path={tmp_path / 'instances.json'}",
            ],
            env={"PYTHONPATH": str(LAUNCHER), "PATH": os.environ["PATH"]},
            stdout=out,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            print(log.read_text())


def wait_for(holds: Callable[[], bool], seconds: float = 10.0) -> float:
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            pytest.fail(f"not within {seconds} s")
        time.sleep(0.02)
    return time.monotonic() - start


def edge_of(stage: Stage) -> Any:
    return stage.start("gateway-edge", "edge", network=f"mcp-{stage.stack}-gateway")


@pytest.mark.usefixtures("launcher")
def test_edge_joins_and_leaves_as_servers_come_and_go(stage: Stage) -> None:
    edge = edge_of(stage)
    network = stage.network("time", 0)
    stranger = stage.network("other", 1, role="egress")
    time.sleep(1)
    assert stage.edge_address(edge, "time") is None

    server = stage.start("time", "server", network=network.name)
    stage.start("other", "egress", network=stranger.name)
    wait_for(lambda: stage.edge_address(edge, "time") == f"10.213.{stage.octet}.3")

    server.remove(force=True)
    wait_for(lambda: removed(network), 6)
    assert stage.edge_address(edge, "other") is None
    edge.reload()
    assert f"mcp-{stage.stack}-gateway" in edge.attrs["NetworkSettings"]["Networks"]


def removed(network: Any) -> bool:
    try:
        network.remove()
    except APIError as error:
        if "active endpoints" not in str(error):
            raise
        return False
    return True


@pytest.mark.usefixtures("launcher")
def test_replaced_and_restarted_edge_is_back_on_every_network(stage: Stage) -> None:
    edge = edge_of(stage)
    for index, server in enumerate(["one", "two", "three"]):
        stage.start(server, "server", network=stage.network(server, index).name)
    expected = {server: f"10.213.{stage.octet}.{index * 8 + 3}" for index, server in enumerate(stage.networks)}

    def joined(edge: Any) -> bool:
        return {server: stage.edge_address(edge, server) for server in expected} == expected

    wait_for(lambda: joined(edge))
    edge.restart(timeout=0)
    wait_for(lambda: joined(edge))
    edge.remove(force=True)
    replacement = edge_of(stage)
    wait_for(lambda: joined(replacement))


@pytest.mark.usefixtures("launcher")
def test_replaced_server_is_joined_again_and_a_crashed_one_is_not_left(stage: Stage) -> None:
    edge = edge_of(stage)
    network = stage.network("time", 0)
    server = stage.start("time", "server", network=network.name)
    wait_for(lambda: stage.edge_address(edge, "time") is not None)
    server.kill()
    time.sleep(2.5)
    assert stage.edge_address(edge, "time") == f"10.213.{stage.octet}.3"
    server.remove(force=True)
    time.sleep(2.5)
    assert stage.edge_address(edge, "time") is None
    stage.start("time", "server", network=network.name)
    wait_for(lambda: stage.edge_address(edge, "time") == f"10.213.{stage.octet}.3")


@pytest.mark.usefixtures("launcher")
def test_pids_limit_follows_the_label(stage: Stage) -> None:
    limited = stage.start("time", "server", labels={"mcp-hosting.processes": "23"})
    free = stage.start("free", "server")

    def limit(container: Any) -> int | None:
        container.reload()
        found: int | None = container.attrs["HostConfig"]["PidsLimit"]
        return found

    wait_for(lambda: limit(limited) == 23)
    assert limit(free) in (None, 0)
    code, output = limited.exec_run(["sh", "-c", "for i in $(seq 60); do sleep 5 & done; echo made all"])
    assert "made all" not in output.decode()
    assert b"fork" in output or code != 0


def test_sigterm_ends_it_at_once(stage: Stage, launcher: "subprocess.Popen[str]") -> None:
    edge = edge_of(stage)
    stage.start("time", "server", network=stage.network("time", 0).name)
    wait_for(lambda: stage.edge_address(edge, "time") is not None)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(timeout=1) == 0


def test_container_works_with_nothing_but_the_socket(stage: Stage, tmp_path: Path) -> None:
    shutil.copytree(LAUNCHER / "mcp_launcher", tmp_path / "mcp_launcher", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    image, _ = stage.client.images.build(path=str(tmp_path), rm=True)
    running = stage.client.containers.run(
        image,
        ["--stack", stage.stack],
        name=f"mcp-{stage.stack}-gateway-launcher",
        labels={STACK: stage.stack, ROLE: "launcher"},
        network="none",
        user="0",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs={"/tmp": "size=1m", "/run/launcher": "size=1m"},
        volumes={"/var/run/docker.sock": {"bind": "/var/run/docker.sock", "mode": "rw"}},
        detach=True,
    )
    edge = edge_of(stage)
    stage.start("time", "server", network=stage.network("time", 0).name)
    wait_for(lambda: stage.edge_address(edge, "time") == f"10.213.{stage.octet}.3")
    code, _ = running.exec_run(["/usr/bin/python3", "-I", "-m", "mcp_launcher", "health"])
    assert code == 0
    start = time.monotonic()
    running.stop(timeout=10)
    assert time.monotonic() - start < 3
    lines = [json.loads(line) for line in running.logs().decode().splitlines()]
    assert {"done", "watching"} <= {line["message"] for line in lines}
    assert not [line for line in lines if line["level"] == "error"]
