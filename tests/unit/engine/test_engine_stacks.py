"""Stacks: the environment that Pulumi gets, first passwords, what an interrupted run or a stranger leaves."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine import passwords, pulumi_env, recovery, stack, sweep
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout, layout
from engine.process import Result

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    return layout(tmp_path / "checkout", {"HOME": str(tmp_path / "home")})


def test_the_cache_is_outside_the_checkout_and_follows_xdg(tmp_path: Path) -> None:
    usual = layout(tmp_path / "checkout", {"HOME": "/home/a"})
    assert usual.cache == Path("/home/a/.cache/mcp-hosting")
    assert usual.state == Path("/home/a/.local/share/mcp-hosting/state")
    chosen = layout(tmp_path, {"HOME": "/home/a", "XDG_CACHE_HOME": "/var/c", "XDG_CONFIG_HOME": "relative"})
    assert chosen.cache == Path("/var/c/mcp-hosting")
    assert chosen.passphrase == Path("/home/a/.config/mcp-hosting/passphrase")


def test_without_a_choice_state_is_a_local_file(here: Layout) -> None:
    added = pulumi_env.variables(here, {"PATH": "/usr/bin"}, path=[Path("/cli")], docker_host=None, login="")
    assert added["PULUMI_BACKEND_URL"] == here.state.as_uri()
    assert added["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(here.passphrase)
    assert added["PATH"] == "/cli:/usr/bin"


@pytest.mark.parametrize(
    ("environ", "login", "absent"),
    [
        ({"PULUMI_BACKEND_URL": "s3://bucket"}, "", "PULUMI_BACKEND_URL"),
        ({}, "https://api.example", "PULUMI_BACKEND_URL"),
        ({"PULUMI_CONFIG_PASSPHRASE": ""}, "", "PULUMI_CONFIG_PASSPHRASE_FILE"),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/mine"}, "", "PULUMI_CONFIG_PASSPHRASE_FILE"),
    ],
)
def test_the_users_own_choice_stands(here: Layout, environ: dict[str, str], login: str, absent: str) -> None:
    assert absent not in pulumi_env.variables(here, environ, path=[], docker_host=None, login=login)


def test_a_login_is_read_from_pulumis_credentials(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert pulumi_env.logged_in(environ) == ""
    (tmp_path / ".pulumi").mkdir()
    (tmp_path / ".pulumi" / "credentials.json").write_text(json.dumps({"current": "gs://bucket"}))
    assert pulumi_env.logged_in(environ) == "gs://bucket"


def test_the_passphrase_is_made_once_and_only_its_owner_reads_it(here: Layout) -> None:
    pulumi_env.ensure(here, {})
    first = here.passphrase.read_text()
    assert len(first) >= 32
    assert here.passphrase.stat().st_mode & 0o777 == 0o600
    assert here.state.stat().st_mode & 0o777 == 0o700
    pulumi_env.ensure(here, {})
    assert here.passphrase.read_text() == first
    assert [entry.name for entry in here.config.iterdir()] == ["passphrase"]


def test_first_passwords_are_readable_strong_and_different() -> None:
    made = {passwords.readable_password() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password) for password in made)
    assert not set("01ilo") & set("".join(made))


def test_only_logins_without_a_password_get_one() -> None:
    assert passwords.without_password("alice\tpassword\nbob\tmissing\n\n") == ["bob"]
    assert passwords.config_path('a"b') == 'mcp-hosting:passwords["a\\"b"]'


def test_a_missing_stack_is_answered_with_the_ones_there_are(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.quickstart.yaml").touch()
    assert stack.config_file(tmp_path, "quickstart").exists()
    with pytest.raises(EngineError, match=r"stacks/Pulumi\.other\.yaml is missing") as raised:
        stack.config_file(tmp_path, "other")
    assert "STACK=quickstart" in raised.value.remedy


def lock(process: int, host: str) -> str:
    return json.dumps({"pid": process, "username": "a", "hostname": host, "timestamp": "2026-01-01T00:00:00Z"})


def test_locks_of_this_host_are_judged_by_their_process() -> None:
    found = recovery.read_locks(
        [lock(1, "here"), lock(2, "here"), lock(3, "elsewhere")], "here", lambda process: process == 1
    )
    assert found == [recovery.Lock(process=1, alive=True), recovery.Lock(process=2, alive=False)]


def test_only_a_file_backend_keeps_locks_where_they_can_be_read() -> None:
    assert recovery.lock_directory("file:///s/t%20u", "p", "q") == Path("/s/t u/.pulumi/locks/organization/p/q")
    assert recovery.lock_directory("s3://bucket", "p", "q") is None
    assert recovery.lock_directory("", "p", "q") is None


def exported(*resources: dict[str, Any], pending: tuple[dict[str, Any], ...] = ()) -> str:
    return json.dumps({"version": 3, "deployment": {"resources": list(resources), "pending_operations": list(pending)}})


def begun(operation: str, kind: str, name: str) -> dict[str, Any]:
    return {"type": operation, "resource": {"urn": "urn", "type": kind, "inputs": {"name": name}}}


def test_half_made_containers_and_networks_are_in_the_way_volumes_are_not() -> None:
    state = exported(
        pending=(
            begun("creating", CONTAINER, "mcp-q-a"),
            begun("creating", NETWORK, "mcp-q-n"),
            begun("creating", VOLUME, "mcp-q-v"),
            begun("updating", CONTAINER, "mcp-q-b"),
        )
    )
    operations = recovery.pending(state)
    assert len(operations) == 4
    assert recovery.half_made(operations) == [("container", "mcp-q-a"), ("network", "mcp-q-n")]


def test_a_stack_that_was_never_deployed_has_nothing_pending() -> None:
    assert recovery.pending('{"version": 3, "deployment": null}') == []


def resource(kind: str, identifier: str, **inputs: object) -> dict[str, Any]:
    return {"type": kind, "id": identifier, "inputs": inputs}


def test_what_was_removed_or_stopped_behind_pulumis_back_is_noticed() -> None:
    state = exported(
        {"type": "pulumi:pulumi:Stack"},
        resource(CONTAINER, "c1", name="runs"),
        resource(CONTAINER, "c2", name="stopped"),
        resource(CONTAINER, "c3", name="removed"),
        resource(CONTAINER, "c4", name="one-shot", mustRun=False),
        resource(NETWORK, "n1", name="network"),
        resource(VOLUME, "v1", name="volume"),
    )
    docker = {"c1": "running", "c2": "exited", "c4": "exited", "n1": "running"}
    assert recovery.gone(state, docker) == ["removed", "stopped", "volume"]
    assert recovery.gone(state, {**docker, "c2": "running", "c3": "running", "v1": "running"}) == []


class DockerWithLeftovers:
    """Docker's command line over a few things with labels; `stuck` can't be removed."""

    def __init__(self, things: dict[str, dict[str, str]], stuck: str = "") -> None:
        self.things = things
        self.stuck = stuck
        self.removed: list[str] = []

    def __call__(self, command: list[str], **_: object) -> Result:
        kind = {"ps": "container", "rm": "container"}.get(command[1], command[1])
        if "rm" in command:
            named = [word for word in command if word in self.things]
            gone = [name for name in named if name != self.stuck]
            self.removed += gone
            self.things = {name: about for name, about in self.things.items() if name not in gone}
            stuck = self.stuck in named
            return Result(code=int(stuck), out="\n".join(gone), err="it is in use" if stuck else "")
        wanted = [word.removeprefix("label=").split("=") for word in command if word.startswith("label=")]
        found = [
            name
            for name, about in self.things.items()
            if about["kind"] == kind and all(about.get(key) == value for key, value in wanted)
        ]
        return Result(code=0, out="\n".join(found), err="")


def thing(kind: str, role: str) -> dict[str, str]:
    return {"kind": kind, "mcp-hosting.stack": "q", "mcp-hosting.role": role}


LEFT = {
    "mcp-q-notes-u-0123456789ab": thing("container", "instance"),
    "mcp-q-gateway-launcher": thing("container", "launcher"),
    "mcp-q-gateway-edge": thing("container", "edge"),
    "mcp-q-notes-net": thing("network", "instance"),
    "mcp-q-gateway-state": thing("volume", "state"),
    "mcp-q-notes-u-0123456789ab-data": thing("volume", "data"),
    "mcp-p-gateway-launcher": {**thing("container", "launcher"), "mcp-hosting.stack": "p"},
}


def test_a_sweep_ends_the_launcher_first_and_keeps_users_data_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker = DockerWithLeftovers(LEFT)
    monkeypatch.setattr(sweep, "capture", docker)
    sweep.sweep(Console(), {}, "q", purge=False)
    assert docker.removed[0] == "mcp-q-gateway-launcher"
    assert docker.removed.index("mcp-q-gateway-edge") < docker.removed.index("mcp-q-notes-net")
    assert set(docker.things) == {
        "mcp-q-gateway-state",
        "mcp-q-notes-u-0123456789ab-data",
        "mcp-p-gateway-launcher",
    }
    said = capsys.readouterr().err
    assert "kept mcp-q-gateway-state (PURGE=1" in said
    assert "kept mcp-q-notes-u-0123456789ab-data (PURGE=1" in said


def test_a_purge_removes_users_data_and_what_is_stuck_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = {f"mcp-q-{number}": thing("container", "instance") for number in range(50)}
    docker = DockerWithLeftovers({**many, **LEFT}, stuck="mcp-q-7")
    monkeypatch.setattr(sweep, "capture", docker)
    sweep.sweep(Console(), {}, "q", purge=True)
    assert set(docker.things) == {"mcp-q-7", "mcp-p-gateway-launcher"}
    assert "can't remove mcp-q-7: it is in use" in capsys.readouterr().err


@pytest.mark.docker
def test_a_sweep_removes_what_carries_the_stacks_label_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    names = {owner: f"mcp-sweep-{owner}-{secrets.token_hex(4)}" for owner in ("mine", "other")}

    def docker(*arguments: str) -> str:
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout

    def left() -> set[str]:
        found = docker("volume", "ls", "-q") + docker("network", "ls", "--format", "{{.Name}}")
        return set(found.split()) & set(names.values())

    def volumes() -> set[str]:
        return set(docker("volume", "ls", "-q").split()) & set(names.values())

    try:
        for name in names.values():
            docker("network", "create", "--internal", "--label", f"mcp-hosting.stack={name}", name)
            docker("volume", "create", "--label", f"mcp-hosting.stack={name}", name)
        sweep.sweep(Console(), os.environ, names["mine"], purge=False)
        networks = docker("network", "ls", "--format", "{{.Name}}").split()
        assert names["mine"] not in networks
        assert names["other"] in networks
        assert volumes() == set(names.values())
        said = capsys.readouterr().err
        assert f"removed {names['mine']}" in said
        assert f"kept {names['mine']} (PURGE=1 removes them)" in said
    finally:
        for name in left():
            subprocess.run(["docker", "network", "rm", name], capture_output=True)
            subprocess.run(["docker", "volume", "rm", name], capture_output=True)


@pytest.mark.docker
def test_a_sweep_removes_an_instance_that_a_dead_launcher_left_and_keeps_its_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack = f"sweep-{secrets.token_hex(4)}"
    name, image = f"mcp-{stack}-notes-u-0123456789ab", f"mcp-sweep-empty:{stack}"

    def docker(*arguments: str, stdin: bytes = b"") -> str:
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, input=stdin).stdout.decode()

    def labels(role: str) -> list[str]:
        return ["--label", f"mcp-hosting.stack={stack}", "--label", f"mcp-hosting.role={role}"]

    try:
        docker("import", "-", image, stdin=bytes(10240))
        docker("network", "create", "--internal", *labels("instance"), name)
        docker("volume", "create", *labels("data"), f"{name}-data")
        docker(
            *("create", "--name", name, "--network", name, "--volume", f"{name}-data:/data"),
            *(*labels("instance"), image, "/bin/none"),
        )
        sweep.sweep(Console(), os.environ, stack, purge=False)
        assert name not in docker("ps", "--all", "--format", "{{.Names}}").split()
        assert name not in docker("network", "ls", "--format", "{{.Name}}").split()
        assert f"{name}-data" in docker("volume", "ls", "--quiet").split()
        assert f"users' data    kept {name}-data (PURGE=1 removes them)" in capsys.readouterr().err
    finally:
        for command in (["rm", "--force", name], ["network", "rm", name], ["volume", "rm", f"{name}-data"]):
            subprocess.run(["docker", *command], capture_output=True)
        subprocess.run(["docker", "image", "rm", image], capture_output=True)
