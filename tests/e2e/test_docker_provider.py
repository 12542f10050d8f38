"""The stand-in Docker provider under the real Pulumi engine and a real Docker Engine."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
BASE_IMAGE = "debian:bookworm-slim"
STACK_LABEL = "mcp-hosting.stack"


def environment() -> dict[str, str]:
    """The project's own environment for `pulumi`, with the stand-in before any other provider."""
    found = subprocess.run(
        [sys.executable, "-m", "engine", "env", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    environment = {**os.environ, **(json.loads(found.stdout) if found.returncode == 0 else {})}
    environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
    environment["PATH"] = f"{ROOT / 'engine' / 'docker-provider'}:{environment['PATH']}"
    return environment


class Project:
    """A small Pulumi project of its own, with a file backend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"dptest-{secrets.token_hex(4)}"
        self.state = folder / "state"
        self.state.mkdir()
        self.subnet = f"10.{secrets.randbelow(50) + 150}.{secrets.randbelow(250)}"
        self.environment = environment() | {
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        virtualenv = Path(sys.executable).parents[1]
        (folder / "Pulumi.yaml").write_text(
            f"name: dptest\nruntime: {{name: python, options: {{virtualenv: {virtualenv}}}}}\n"
        )
        self.docker: Any = docker.from_env()
        self("stack", "init", "test")

    def program(self, text: str) -> None:
        """Writes the program; NAME, LABELS and SUBNET are given."""
        head = f"""
            import pulumi, pulumi_docker as docker
            NAME, SUBNET = {self.name!r}, {self.subnet!r}
            LABELS = [{{"label": {STACK_LABEL!r}, "value": NAME}}]
        """
        (self.folder / "__main__.py").write_text(textwrap.dedent(head) + textwrap.dedent(text))

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, output
        return output

    def up(self, *options: str, fails: bool = False) -> str:
        return self("up", "--yes", "--skip-preview", *options, fails=fails)

    def unchanged(self, *options: str) -> None:
        self("preview", "--expect-no-changes", *options)

    def container(self, suffix: str = "c") -> Any:
        return self.docker.containers.get(f"{self.name}-{suffix}")

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("stack", "output", "--json"))
        return found


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    yield project
    mine = {"all": True, "filters": {"name": project.name}}
    for container in project.docker.containers.list(**mine):
        container.remove(force=True, v=True)
    for network in project.docker.networks.list(names=[project.name]):
        network.remove()
    for volume in project.docker.volumes.list(filters={"name": project.name}):
        volume.remove()
    for image in project.docker.images.list(name=project.name):
        project.docker.images.remove(image.id, force=True)


SERVER = f"""
    network = docker.Network("n", name=f"{{NAME}}-n", internal=True, labels=LABELS,
        ipam_configs=[{{"subnet": f"{{SUBNET}}.0/29", "gateway": f"{{SUBNET}}.1"}}])
    volume = docker.Volume("v", name=f"{{NAME}}-v", labels=LABELS)
    docker.Container("c", name=f"{{NAME}}-c", image="{BASE_IMAGE}", command=["sleep", "600"], labels=LABELS,
        user="1000:1000", read_only=True, capabilities={{"drops": ["ALL"]}}, security_opts=["no-new-privileges:true"],
        tmpfs={{"/tmp": "rw,noexec,size=1m"}}, memory=64, cpus="0.5", restart="unless-stopped", stop_timeout=0,
        mounts=[{{"type": "volume", "source": volume.name, "target": "/data"}}],
        networks_advanced=[{{"name": network.name, "ipv4_address": f"{{SUBNET}}.2"}}])
"""


def test_a_containers_life(project: Project) -> None:
    project.program(SERVER)
    project.up()
    first = project.container()
    host = first.attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["ReadonlyRootfs"]) == (64 * 2**20, 5 * 10**8, True)
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
    assert list(first.attrs["NetworkSettings"]["Networks"]) == [f"{project.name}-n"]
    assert first.attrs["NetworkSettings"]["Networks"][f"{project.name}-n"]["IPAddress"] == f"{project.subnet}.2"
    project.unchanged()

    project.program(SERVER.replace("memory=64", "memory=200"))
    project.up()
    assert project.container().id == first.id
    assert project.container().attrs["HostConfig"]["Memory"] == 200 * 2**20

    project.program(SERVER.replace('"600"', '"601"'))
    project.up()
    assert project.container().id != first.id

    project("destroy", "--yes", "--skip-preview")
    assert project.docker.containers.list(all=True, filters={"name": project.name}) == []
    assert project.docker.networks.list(names=[project.name]) == []
    assert project.docker.volumes.list(filters={"name": project.name}) == []


def test_what_happened_behind_its_back_is_repaired(project: Project) -> None:
    project.program(SERVER)
    project.up()
    other = project.docker.networks.create(f"{project.name}-other", internal=True)
    other.connect(project.container())
    project.unchanged("--refresh")  # a network joined at run time is no drift

    first = project.container().id
    project.container().remove(force=True)
    project.up("--refresh")
    second = project.container()
    assert (second.id != first, second.status) == (True, "running")

    second.stop(timeout=0)
    project.up("--refresh")
    third = project.container()
    assert (third.id != second.id, third.status) == (True, "running")

    third.update(mem_limit="80m", memswap_limit="160m")
    project.up("--refresh")
    assert (project.container().id, project.container().attrs["HostConfig"]["Memory"]) == (third.id, 64 * 2**20)
    project.unchanged("--refresh")


def test_a_changed_network_takes_its_containers_along(project: Project) -> None:
    project.program(SERVER)
    project.up()
    project.program(SERVER.replace('.0/29"', '.8/29"').replace('.1"', '.9"').replace('.2"', '.10"'))
    project.up()
    address = project.container().attrs["NetworkSettings"]["Networks"][f"{project.name}-n"]["IPAddress"]
    assert address == f"{project.subnet}.10"


def test_a_network_is_removed_once_the_last_container_has_left_it(project: Project) -> None:
    project.program("""
        docker.Network("n", name=f"{NAME}-n", internal=True, labels=LABELS)
    """)
    project.up()
    name = f"{project.name}-n"
    guest = project.docker.containers.run(BASE_IMAGE, ["sleep", "600"], name=f"{name}-guest", network=name, detach=True)
    command = ["pulumi", "destroy", "--yes", "--skip-preview", "--non-interactive"]
    run = subprocess.Popen(command, cwd=project.folder, env=project.environment, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    wait_for(lambda: "deleting" in run.stdout.readline())
    time.sleep(2)
    assert run.poll() is None  # it waits
    project.docker.networks.get(name).disconnect(guest)
    assert run.wait(90) == 0
    assert project.docker.networks.list(names=[name]) == []


SLOW = SERVER.replace(
    "restart=", 'wait=True, wait_timeout=120, healthcheck={"tests": TESTS, "interval": "1s"}, restart='
)


def test_an_up_that_was_killed_is_repaired_by_the_next(project: Project) -> None:
    project.program(SLOW.replace("TESTS", '["CMD", "false"]'))
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"]
    run = subprocess.Popen(command, cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL)
    provider = wait_for(lambda: provider_of(run.pid))
    wait_for(lambda: project.docker.containers.list(filters={"name": project.name}))
    run.send_signal(signal.SIGKILL)
    run.wait()
    half_made = project.container().id
    wait_for(lambda: not Path(f"/proc/{provider}").exists(), seconds=20)  # it doesn't work on against the next run

    project("cancel", "--yes")
    project.program(SLOW.replace("TESTS", '["CMD", "true"]'))
    output = project.up()
    assert "replacing the one that an interrupted run left behind" in output
    assert project.container().id != half_made
    project.unchanged("--refresh")


def test_an_up_that_is_interrupted_ends_soon_and_leaves_nothing_half_made(project: Project) -> None:
    project.program(SLOW.replace("TESTS", '["CMD", "false"]'))
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"]
    run = subprocess.Popen(command, cwd=project.folder, env=project.environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: project.docker.containers.list(filters={"name": project.name}))
    run.send_signal(signal.SIGINT)
    assert run.wait(90) != 0
    assert project.docker.containers.list(all=True, filters={"name": project.name}) == []
    project.program(SERVER)
    project.up()
    assert project.container().status == "running"


def test_objects_of_an_interrupted_run_are_taken_over(project: Project) -> None:
    labels = {STACK_LABEL: project.name}
    pool = docker.types.IPAMPool(subnet=f"{project.subnet}.0/29", gateway=f"{project.subnet}.1")
    ipam = docker.types.IPAMConfig(pool_configs=[pool])
    network = project.docker.networks.create(f"{project.name}-n", internal=True, labels=labels, ipam=ipam)
    project.docker.volumes.create(f"{project.name}-v", labels=labels)
    old = project.docker.containers.create(BASE_IMAGE, name=f"{project.name}-c", labels=labels)
    project.program(SERVER)
    project.up()
    assert project.docker.networks.get(f"{project.name}-n").id == network.id
    assert project.container().id != old.id
    project.unchanged("--refresh")


def test_objects_of_others_are_never_touched(project: Project) -> None:
    network = project.docker.networks.create(f"{project.name}-n", internal=True)
    project.docker.volumes.create(f"{project.name}-v", labels={"theirs": "yes"})
    container = project.docker.containers.create(BASE_IMAGE, name=f"{project.name}-c", labels={STACK_LABEL: "another"})
    free = SERVER.replace("{volume.name", "{NAME").replace("volume.name", "'x'").replace("network.name", "'bridge'")
    project.program(free.replace(', "ipv4_address": f"{SUBNET}.2"', ""))
    output = project.up("--continue-on-error", fails=True)
    for kind, suffix in (("container", "c"), ("network", "n"), ("volume", "v")):
        assert f"{kind} {project.name}-{suffix}: exists already and is not this stack's" in output
    assert project.docker.networks.get(f"{project.name}-n").id == network.id
    assert project.docker.volumes.get(f"{project.name}-v").attrs["Labels"] == {"theirs": "yes"}
    assert project.container().id == container.id


def test_a_secret_file_is_nowhere_in_clear(project: Project) -> None:
    secret = "s3cret-" + secrets.token_hex(8)
    project("config", "set", "--secret", "token", secret)
    server = f"""
        token = pulumi.Config().require_secret("token")
        docker.Container("c", name=f"{{NAME}}-c", image="{BASE_IMAGE}", labels=LABELS, read_only=True, stop_timeout=0,
            command=["sh", "-c", "COMMAND"], volumes=[{{"container_path": "/run/mcp"}}],
            uploads=[{{"file": "/run/mcp/deep/token", "content": token, "permissions": "0444"}}], user="1000")
    """
    project.program(server.replace("COMMAND", "cat /run/mcp/deep/token; echo; exec sleep 600"))
    output = project.up()
    container = project.container()
    assert wait_for(container.logs).decode() == f"{secret}\n"  # the program got it, as another user than root
    assert secret not in json.dumps(container.attrs)
    states = [file.read_text() for file in project.state.rglob("*") if file.is_file()]
    assert states
    assert not any(secret in state for state in states)
    assert secret not in output

    project.program(server.replace("COMMAND", "cat /run/mcp/deep/token; exit 3"))
    output = project.up(fails=True)
    assert "exited immediately with code 3" in output
    assert "[secret]" in output
    assert secret not in output
    assert project.docker.containers.list(all=True, filters={"name": project.name}) == []

    once = server.replace("COMMAND", "cat /run/mcp/deep/token").replace(
        "user=", "attach=True, must_run=False, logs=True, user="
    )
    project.program(
        once.replace("docker.Container(", 'pulumi.export("logs", docker.Container(').rstrip() + ".container_logs)"
    )
    output = project.up()
    assert secret not in output
    assert secret not in "".join(file.read_text() for file in project.state.rglob("*") if file.is_file())
    assert json.loads(project("stack", "output", "--json", "--show-secrets")) == {"logs": secret}


def test_a_one_shot_container(project: Project) -> None:
    shot = f"""
        shot = docker.Container("c", name=f"{{NAME}}-c", image="{BASE_IMAGE}", labels=LABELS, attach=True,
            must_run=False, logs=True, command=["sh", "-c", "COMMAND"])
        pulumi.export("code", shot.exit_code)
        pulumi.export("logs", shot.container_logs)
    """
    project.program(shot.replace("COMMAND", "echo no route; exit 7"))
    output = project.up(fails=True)
    assert f"container {project.name}-c: ended with exit code 7; its last log lines:\n" in output
    assert "no route" in output
    project.program(shot.replace("COMMAND", "echo delivered"))
    project.up()
    project.unchanged("--refresh")
    project.up("--refresh")
    assert project.outputs() == {"code": 0, "logs": "delivered\n"}


def test_existing_objects_can_be_imported(project: Project) -> None:
    network = project.docker.networks.create(f"{project.name}-n", internal=True, labels={"a": "b"})
    project.docker.volumes.create(f"{project.name}-v")
    container = project.docker.containers.run(
        BASE_IMAGE,
        ["sleep", "600"],
        name=f"{project.name}-c",
        detach=True,
        mem_limit="64m",
        network=f"{project.name}-n",
    )
    wanted = [
        {"type": "docker:index/container:Container", "name": "c", "id": f"{project.name}-c"},
        {"type": "docker:index/network:Network", "name": "n", "id": f"{project.name}-n"},
        {"type": "docker:index/volume:Volume", "name": "v", "id": f"{project.name}-v"},
    ]
    (project.folder / "import.json").write_text(json.dumps({"resources": wanted}))
    project.program("")
    project("import", "--file", "import.json", "--yes", "--protect=false", "--generate-code=false")
    project.program(f"""
        docker.Network("n", name=f"{{NAME}}-n", driver="bridge", internal=True, labels=[{{"label": "a", "value": "b"}}],
            ipam_configs={json.dumps(subnets(network))})
        docker.Volume("v", name=f"{{NAME}}-v", driver="local")
        docker.Container("c", name=f"{{NAME}}-c", image="{BASE_IMAGE}", command=["sleep", "600"], memory=96,
            memory_swap=128, networks_advanced=[{{"name": f"{{NAME}}-n"}}])
    """)
    project.up()
    assert project.container().id == container.id
    assert project.container().attrs["HostConfig"]["Memory"] == 96 * 2**20
    project.unchanged("--refresh")


IMAGE = """
    image = docker.Image("i", image_name=f"{NAME}:1", build={"context": "context"}, skip_push=True)
    pulumi.export("digest", image.repo_digest)
"""


def test_an_image_is_built_when_its_context_changes(project: Project) -> None:
    context = project.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\nCOPY greeting /\nRUN test -s greeting\n")
    (context / ".dockerignore").write_text("notes\n")
    (context / "greeting").write_text("hello")
    project.program(IMAGE)
    output = project.up()
    assert "Step 3/3 : RUN test -s greeting" in output
    first = project.outputs()["digest"]
    assert project.docker.images.get(f"{project.name}:1").id == first

    (context / "notes").write_text("ignored")
    (context / "greeting").touch()
    project.unchanged("--refresh")

    (context / "greeting").write_text("hello again")
    project.up()
    second = project.outputs()["digest"]
    assert second not in ("", first)

    project.docker.images.remove(f"{project.name}:1")
    project.up("--refresh")
    assert project.docker.images.get(f"{project.name}:1").id == project.outputs()["digest"]

    (context / "greeting").write_text("")
    (context / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\nCOPY greeting /\nRUN echo looking; test -s greeting\n")
    output = project.up(fails=True)
    assert "Step 3/3 : RUN echo looking; test -s greeting" in output
    assert "looking" in output.partition("Diagnostics:")[2]
    project.program("")
    project.up()
    assert project.docker.images.get(f"{project.name}:1")  # as the real plugin leaves it


def test_an_image_that_is_there_is_used_without_a_registry(project: Project) -> None:
    project.program(f"""
        image = docker.RemoteImage("i", name="{BASE_IMAGE}", keep_locally=True)
        docker.Container("c", name=f"{{NAME}}-c", image=image.image_id, command=["sleep", "600"], labels=LABELS)
        pulumi.export("id", image.image_id)
    """)
    project.up()
    assert project.outputs()["id"] == project.docker.images.get(BASE_IMAGE).id
    project.unchanged("--refresh")
    project("destroy", "--yes", "--skip-preview")
    assert project.docker.images.get(BASE_IMAGE)


def test_what_is_not_supported_is_refused_by_name_before_anything_is_made(project: Project) -> None:
    project.program(f"""
        docker.Volume("v", name=f"{{NAME}}-v", labels=LABELS)
        docker.Container("c", name=f"{{NAME}}-c", image="{BASE_IMAGE}", gpus="all", labels=LABELS)
    """)
    output = project("preview", fails=True)
    assert "gpus" in output
    assert "not supported by this stand-in" in output


def test_overlapping_subnets_are_named(project: Project) -> None:
    project.program("""
        one = docker.Network("one", name=f"{NAME}-one", ipam_configs=[{"subnet": f"{SUBNET}.0/29"}])
        docker.Network("two", name=f"{NAME}-two", ipam_configs=[{"subnet": f"{SUBNET}.0/28"}],
            opts=pulumi.ResourceOptions(depends_on=one))
    """)
    output = project.up(fails=True)
    assert f"network {project.name}-two: its subnet {project.subnet}.0/28 overlaps with {project.name}-one" in output


def subnets(network: Any) -> list[dict[str, str]]:
    network.reload()
    return [{"subnet": config["Subnet"], "gateway": config["Gateway"]} for config in network.attrs["IPAM"]["Config"]]


def provider_of(pid: int) -> int | None:
    """The provider process that the engine `pid` started."""
    for process in Path("/proc").iterdir():
        try:
            parent = (process / "stat").read_text().rpartition(") ")[2].split()[1]
            if parent == str(pid) and b"docker_provider" in (process / "cmdline").read_bytes():
                return int(process.name)
        except (OSError, IndexError):
            continue
    return None


def wait_for(condition: Any, seconds: float = 180) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("waited in vain")
