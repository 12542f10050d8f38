"""Users' instances on a real engine, asked for as the control side asks."""

import io
import json
import os
import shutil
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from jinja2 import Template

from tests.launcher.documents import OTHER, SUBJECT
from tests.launcher.instance_stage import (
    LAUNCHER,
    ROLE,
    ROOT,
    STACK,
    InstanceStage,
    build_image,
    inspected,
    together,
    wait_for,
)

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

VALUES = {"user:API_KEY": "key-of-alice", "secret:TEAM": "blue", "user:CREDS": "creds-of-alice"}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_image(docker.from_env(), tmp_path_factory.mktemp("image"))


@pytest.fixture
def stage(image: str, tmp_path: Path) -> Iterator[InstanceStage]:
    number = time.monotonic_ns() % 100_000
    made = InstanceStage(
        client=docker.from_env(timeout=120),
        stack=f"li{os.getpid()}x{number}",
        image=image,
        folder=tmp_path,
        octet=2 * (number % 128),
    )
    try:
        yield made
    finally:
        made.clear()


def received(container: Any) -> dict[str, Any]:
    code, output = container.exec_run(["cat", "/tmp/received.json"])
    assert code == 0
    found: dict[str, Any] = json.loads(output)
    return found


def test_an_instance_is_started_filled_and_reached_by_the_edge(stage: InstanceStage) -> None:
    edge = stage.edge()
    stage.deliver(stage.server())
    stage.launch()
    status, answer = stage.start(values=VALUES)
    assert status == 200, answer
    instance = answer["instance"]
    assert (instance["state"], instance["revision"], instance["templateCurrent"]) == ("running", "a1", True)
    code, _ = edge.exec_run(
        ["python3", "-c", f"import urllib.request; urllib.request.urlopen({instance['url']!r}, timeout=5)"]
    )
    assert code == 0

    (container,) = stage.containers()
    document = received(container)
    assert document["secretEnv"] == {"API_KEY": "key-of-alice", "TEAM": "team-blue"}
    assert document["env"] == {"MEMORY_FILE_PATH": "/data/memory.json", "CREDS": "/run/mcp/files/CREDS"}
    assert document["files"] == {"CREDS": "creds-of-alice"}
    shown = json.dumps(inspected(container)) + container.logs().decode()
    assert not [value for value in VALUES.values() if value in shown]
    uid = container.labels["mcp-hosting.uid"]
    _, output = container.exec_run(["stat", "-c", "%u %g %a", "/data", "/run/mcp/files"])
    assert output.decode().splitlines() == [f"{uid} {uid} 700"] * 2
    code, _ = container.exec_run(["sh", "-c", "touch /tmp/x && ! touch /x"])
    assert code == 0


def test_hardening_is_in_force_within_the_instance(stage: InstanceStage) -> None:
    stage.deliver(stage.server(volume=None))
    stage.launch()
    assert stage.start()[0] == 200
    (container,) = stage.containers()
    host = inspected(container)["HostConfig"]
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
    assert (host["ReadonlyRootfs"], host["Privileged"], host["PidsLimit"]) == (True, False, 64)
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64 << 20, 64 << 20, 500_000_000)
    assert not host["Binds"]
    assert not host["PortBindings"]
    _, output = container.exec_run(["cat", "/proc/self/status"])
    status = dict(line.split(":\t", 1) for line in output.decode().splitlines() if ":\t" in line)
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    (network,) = stage.networks()
    assert (network.attrs["Internal"], network.attrs["EnableIPv6"]) == (True, False)
    assert network.attrs["Options"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}
    assert host["Dns"] == ["127.0.0.1"]
    _, output = container.exec_run(["hostname"])
    assert output.decode().strip() == "instance"


def test_many_that_ask_at_once_get_one_instance(stage: InstanceStage) -> None:
    stage.deliver(stage.server())
    stage.launch()
    answers = together(12, lambda _: stage.start(values=VALUES))
    assert {status for status, _ in answers} == {200}
    assert len({answer["instance"]["url"] for _, answer in answers}) == 1
    (container,) = stage.containers()
    _, output = container.exec_run(["cat", "/data/starts.txt"])
    assert output == b"started\n"


def test_two_users_share_no_network_volume_uid_or_value(stage: InstanceStage) -> None:
    stage.deliver(stage.server())
    stage.launch()
    for subject in (SUBJECT, OTHER):
        assert stage.start(subject=subject, values=VALUES | {"user:API_KEY": f"of-{subject}"})[0] == 200
    one, two = stage.containers()
    assert one.labels["mcp-hosting.uid"] != two.labels["mcp-hosting.uid"]
    networks = [set(inspected(each)["NetworkSettings"]["Networks"]) for each in (one, two)]
    assert not networks[0] & networks[1]
    mounts = [{mount["Name"] for mount in inspected(each)["Mounts"]} for each in (one, two)]
    assert all(mounts)
    assert not mounts[0] & mounts[1]
    for each in (one, two):
        assert received(each)["secretEnv"]["API_KEY"] == f"of-{each.labels['mcp-hosting.subject']}"
        other = next(subject for subject in (SUBJECT, OTHER) if subject != each.labels["mcp-hosting.subject"])
        assert other not in json.dumps(inspected(each))


def test_data_outlives_the_instance_is_exported_and_removed(stage: InstanceStage) -> None:
    stage.deliver(stage.server())
    stage.launch()
    for starts in (1, 2):
        assert stage.start()[0] == 200
        status, content = stage.ask("GET", stage.of("/instances/data"))
        assert status == 200
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            found = tar.extractfile("data/starts.txt")
            assert found is not None
            assert found.read() == b"started\n" * starts
        assert stage.stop() == (204, b"")
        assert stage.nothing_left()
    listed = stage.listed()
    assert listed is not None
    assert (listed["instances"], listed["data"]) == ([], [{"server": "memory", "subject": SUBJECT}])
    status, content = stage.ask("GET", stage.of("/instances/data"))
    assert status == 200
    assert b"starts.txt" in content
    assert stage.nothing_left()
    assert stage.start()[0] == 200
    assert stage.ask("DELETE", stage.of("/instances/data"))[0] == 204
    assert stage.nothing_left()
    assert stage.volumes() == []
    listed = stage.listed()
    assert listed is not None
    assert listed["data"] == []


def test_a_failed_start_says_why_leaves_nothing_and_is_not_repeated_at_once(stage: InstanceStage) -> None:
    stage.deliver(stage.server(volume=None))
    stage.launch()
    status, answer = stage.start(values={"user:API_KEY": "fail"})
    assert (status, answer["error"]) == (502, "start-failed")
    assert "ended with status 3" in answer["message"]
    assert "the reason of the failure" in answer["log"]
    assert stage.nothing_left()
    assert stage.state() == "failed"
    again = [stage.start(values={"user:API_KEY": "fail"}, force=force) for force in (True, False)]
    assert [(status, answer["error"]) for status, answer in again] == [(502, "start-failed"), (503, "back-off")]
    assert 0 < again[1][1]["retrySeconds"] <= 2
    assert "the reason of the failure" in again[1][1]["log"]
    assert stage.start(values={"user:API_KEY": "right"}, force=True)[0] == 200


def test_one_that_never_gets_ready_is_ended_and_one_that_is_stopped_while_it_starts(stage: InstanceStage) -> None:
    stage.deliver(stage.server(volume=None, startSeconds=1))
    stage.launch()
    status, answer = stage.start(values={"user:API_KEY": "hang"})
    assert (status, answer["error"]) == (502, "start-failed")
    assert "not ready within 1 s" in answer["message"]
    stage.deliver(stage.server(volume=None, startSeconds=60))
    wait_for(lambda: stage.start(values={"user:API_KEY": "x"}, force=True)[0] == 200)
    assert stage.stop()[0] == 204

    def either(index: int) -> Any:
        if index == 0:
            return stage.start(values={"user:API_KEY": "hang"}, force=True)
        wait_for(lambda: stage.state() == "starting")
        return stage.stop()

    started, stopped = together(2, either)
    assert started[0] == 502
    assert stopped[0] == 204
    assert stage.nothing_left()
    assert stage.state() == "stopped"


def test_an_image_that_speaks_http_itself(stage: InstanceStage) -> None:
    stage.edge()
    stage.deliver(stage.own_http())
    stage.launch()
    status, answer = stage.start("box", values=VALUES)
    assert status == 200, answer
    (container,) = stage.containers()
    _, output = container.exec_run(["sh", "-c", "cat $CREDS; stat -c ' %u %a' $CREDS; echo $API_KEY"])
    assert output.decode().split() == ["creds-of-alice", container.labels["mcp-hosting.uid"], "400", "key-of-alice"]
    code, _ = container.exec_run(["sh", "-c", "! touch /run/mcp/files/x"])
    assert code == 0
    assert {each.labels["mcp-hosting.role"] for each in stage.containers(None)} == {"edge", "instance", "delivery"}
    assert stage.stop("box")[0] == 204
    assert stage.nothing_left()
    status, answer = stage.start("box", values={"user:API_KEY": "fail"})
    assert (status, answer["error"]) == (502, "start-failed")
    assert "the reason of the failure" in answer["log"]
    assert stage.nothing_left()


def test_replacement_limits_and_a_server_that_is_taken_away(stage: InstanceStage) -> None:
    stage.limits = {"total": 3, "perUser": 1, "startsAtOnce": 2}
    stage.deliver(stage.server(), stage.server("notes"))
    stage.launch()
    first = stage.start()[1]["instance"]
    assert stage.start(revision="b2")[1]["instance"] == first
    assert stage.start("notes")[1]["error"] == "limit-user"
    status, answer = stage.start(revision="b2", replace=True)
    assert (status, answer["instance"]["revision"]) == (200, "b2")
    assert len(stage.containers()) == 1
    stage.deliver(stage.server(startSeconds=21), stage.server("notes"))
    wait_for(lambda: stage.listed()["instances"][0]["templateCurrent"] is False)  # type: ignore[index]
    assert stage.start(revision="b2", replace=True)[1]["instance"]["templateCurrent"] is True
    for number in range(2):
        assert stage.start("notes", f"user-{number}")[0] == 200
    assert stage.start("notes", "user-3")[1]["error"] == "limit-total"
    stage.deliver(stage.server("notes"))
    wait_for(lambda: len(stage.containers()) == 2 and stage.state() == "stopped")
    assert stage.start()[1]["error"] == "unknown-server"
    assert len(stage.volumes()) == 3
    stage.templates.write_text('{"version": 1}')
    time.sleep(1.5)
    assert stage.start("notes", "user-0")[0] == 200


def test_log_usage_and_news(stage: InstanceStage) -> None:
    stage.deliver(stage.server(volume=None))
    stage.launch()
    version = stage.listed()["version"]  # type: ignore[index]
    news = together(2, lambda index: stage.start() if index else stage.ask("GET", f"/instances?after={version}"))
    assert news[0][1]["instances"][0]["state"] == "starting"
    status, content = stage.ask("GET", stage.of("/instances/log", lines="1"))
    assert (status, content.decode().count("\n")) == (200, 1)
    assert "listening on 0.0.0.0:8080" in content.decode()
    (usage,) = stage.ask("GET", "/instances/usage")[1]["usage"]
    assert usage["memoryBytes"] > 1 << 20
    assert usage["processes"] >= 1

    def either(index: int) -> Any:
        if index == 0:
            return stage.ask("GET", stage.of("/instances/log", follow="1"))
        time.sleep(0.5)
        return stage.stop()

    followed, stopped = together(2, either)
    assert (followed[0], stopped[0]) == (200, 204)


def test_an_instance_that_dies_is_cleared_away_and_says_so(stage: InstanceStage) -> None:
    stage.edge()
    stage.deliver(stage.server())
    stage.launch()
    assert stage.start()[0] == 200
    (container,) = stage.containers()
    container.kill()
    assert stage.start()[0] == 200, "one that has just ended is started again, not answered"
    (container,) = stage.containers()
    container.kill()
    wait_for(lambda: stage.state() == "failed" and stage.nothing_left())
    found = stage.listed()
    assert found is not None
    assert found["instances"][0]["reason"] == "it ended with status 137"
    assert stage.start()[0] == 200


def test_a_launcher_that_is_killed_finds_what_runs_and_clears_what_does_not(stage: InstanceStage) -> None:
    stage.edge()
    stage.deliver(stage.server(), stage.own_http())
    stage.launch()
    before = {server: stage.start(server, values=VALUES)[1]["instance"] for server in ("memory", "box")}

    def either(index: int) -> Any:
        if index == 0:
            time.sleep(2.0)
            stage.end()
            return None
        try:
            return stage.start(subject=f"user-{index}", values={"user:API_KEY": "hang"})
        except OSError:
            return None

    together(6, either)
    assert not stage.nothing_left()
    stage.launch()
    wait_for(lambda: {stage.state("memory"), stage.state("box")} == {"running"}, 60)
    for server, instance in before.items():
        assert stage.start(server, values=VALUES)[1]["instance"]["url"] == instance["url"]

    def settled() -> bool:
        return len(stage.containers()) == 2 and len(stage.networks()) == 2 and len(stage.containers("ready")) == 0

    wait_for(settled, 60)


def test_it_leaves_with_the_stack_and_only_with_it(stage: InstanceStage) -> None:
    stage.edge()
    delivery = stage.delivery_container()
    stage.deliver(stage.server())
    stage.launch()
    assert {status for status, _ in together(5, lambda index: stage.start(subject=f"user-{index}"))} == {200}
    stage.end(signal.SIGTERM)
    assert len(stage.containers()) == 5
    stage.launch()
    delivery.remove()
    stage.end(signal.SIGTERM)
    assert stage.nothing_left()
    assert len(stage.volumes()) == 5


IN_CONTAINER = """
import json, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(60)
connection.connect("/run/launcher/launcher.sock")
body = sys.argv[2].encode()
head = f"{sys.argv[1]} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
connection.sendall(head.encode() + body)
answer = b""
while part := connection.recv(65536):
    answer += part
print(answer.decode())
"""


def test_the_launchers_own_container_serves_the_control_side_alone(stage: InstanceStage, tmp_path: Path) -> None:
    context = tmp_path / "launcher"
    shutil.copytree(LAUNCHER / "mcp_launcher", context / "packages" / "mcp_launcher")
    template = Template((ROOT / "templates" / "images" / "launcher.Dockerfile.j2").read_text())
    (context / "Dockerfile").write_text(template.render(python=stage.image))
    image, _ = stage.client.images.build(path=str(context), rm=True)
    confined: dict[str, Any] = {
        "network": "none",
        "user": "0:10001",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": {"/tmp": "size=1m"},
        "labels": {STACK: stage.stack, ROLE: "launcher"},
        "mem_limit": "128m",
        "pids_limit": 128,
        "detach": True,
    }
    templates, own = (f"mcp-{stage.stack}-gateway-{name}" for name in ("templates", "launcher"))
    for name in (templates, own):
        stage.client.volumes.create(name, labels={STACK: stage.stack})
    stage.deliver(stage.server())
    delivery = stage.client.containers.create(
        image, ["deliver"], name=templates, volumes={templates: {"bind": "/templates", "mode": "rw"}}, **confined
    )
    upload = io.BytesIO()
    with tarfile.open(fileobj=upload, mode="w") as tar:
        tar.add(stage.templates, "etc/mcp/instances.json")
    delivery.put_archive("/", upload.getvalue())
    delivery.start()
    assert delivery.wait()["StatusCode"] == 0, delivery.logs()
    launcher = stage.client.containers.run(
        image,
        ["--stack", stage.stack],
        name=own,
        read_only=True,
        volumes={
            "/var/run/docker.sock": {"bind": "/var/run/docker.sock", "mode": "rw"},
            templates: {"bind": "/templates", "mode": "ro"},
            own: {"bind": "/run/launcher", "mode": "rw"},
        },
        **confined,
    )
    wait_for(lambda: b"in force" in launcher.logs())

    def ask(user: str, *words: str) -> str:
        found = stage.client.containers.create(
            stage.image,
            ["python3", "-c", IN_CONTAINER, *words],
            volumes={own: {"bind": "/run/launcher", "mode": "rw"}},
            **{**confined, "user": user},
        )
        found.start()
        found.wait()
        said = str(found.logs().decode())
        found.remove()
        return said

    body = {"server": "memory", "subject": SUBJECT, "values": VALUES, "revision": "", "replace": False, "force": False}
    assert "HTTP/1.1 200 OK" in ask("10001:10001", "POST /instances/start", json.dumps(body))
    assert len(stage.containers()) == 1
    for user in ("10002:10002", "30000:30000", "65534:65534"):
        assert "PermissionError" in ask(user, "GET /instances", "")
    assert "200 OK" not in ask("10002:10001", "GET /instances", "")
    assert stage.containers("launcher")
    assert not set(VALUES.values()) & set(launcher.logs().decode().split('"'))
    delivery.remove()
    launcher.stop(timeout=60)
    assert stage.nothing_left()


def test_addresses_that_are_taken_are_passed_over(stage: InstanceStage) -> None:
    stage.deliver(stage.server(volume=None))
    pools = [
        docker.types.IPAMPool(subnet=f"10.213.{stage.octet + half}.{quarter}/26")
        for half in (0, 1)
        for quarter in (0, 64, 128)
    ]
    foreign = [
        stage.client.networks.create(
            f"mcp-{stage.stack}-foreign-{index}",
            labels={"other": stage.stack},
            ipam=docker.types.IPAMConfig(pool_configs=[pool]),
        )
        for index, pool in enumerate(pools)
    ]
    try:
        stage.launch()
        answers = together(6, lambda index: stage.start(subject=f"user-{index}"))
        assert {status for status, _ in answers} == {200}
        assert len({answer["instance"]["url"] for _, answer in answers}) == 6
    finally:
        for network in foreign:
            network.remove()
