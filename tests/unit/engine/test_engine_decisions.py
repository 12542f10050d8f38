"""What the engine decides from what it finds: which CLI, which provider, what a missing Docker means, which base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import base_image, docker_engine, docker_provider, pulumi_cli, python_env
from engine.apt_sources import Source
from engine.versions import go_directive, numbers

ROOT = Path(__file__).parents[3]
STANDIN = Path("/checkout/engine/docker-provider")


@pytest.mark.parametrize(
    ("version", "has_host", "part"),
    [
        ("v3.259.0", True, ""),
        ("v3.200.0", True, ""),
        ("v3.199.9", True, "older than 3.200"),
        ("v4.0.1", True, ""),
        ("v3.259.0", False, "without pulumi-language-python"),
        ("", True, "broken"),
    ],
)
def test_the_machines_pulumi_is_used_when_it_will_do(version: str, has_host: bool, part: str) -> None:
    refusal = pulumi_cli.refusal(version, has_host)
    assert part in refusal
    assert bool(refusal) == bool(part)


@pytest.mark.parametrize(
    ("version", "part"),
    [
        ("go version go1.26.8 linux/amd64", ""),
        ("go version go1.26 linux/amd64", ""),
        ("go version go2.0.1 linux/amd64", ""),
        ("go version go1.19.8 linux/amd64", "Go 1.19.8 is too old; Go 1.26 or newer"),
        ("", "isn't installed"),
    ],
)
def test_a_go_that_cannot_build_is_named_with_what_is_needed(version: str, part: str) -> None:
    problem = pulumi_cli.go_problem(version, (1, 26))
    assert part in problem
    assert bool(problem) == bool(part)


def test_the_go_version_needed_is_the_one_in_go_mod() -> None:
    assert go_directive(ROOT / "engine" / "pulumi" / "go.mod") >= (1, 26)


def test_the_build_key_follows_the_locked_modules(tmp_path: Path) -> None:
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_text("one")
    first = pulumi_cli.build_key(tmp_path)
    assert pulumi_cli.build_key(tmp_path) == first
    (tmp_path / "go.sum").write_text("two")
    assert pulumi_cli.build_key(tmp_path) != first


def test_versions_compare_as_numbers() -> None:
    assert numbers("v3.259.0") > numbers("3.99.1")
    assert numbers("no version") == ()


@pytest.mark.parametrize(
    ("cached", "on_path", "refused", "real"),
    [
        (True, False, None, True),
        (True, False, "no such host", True),
        (False, True, "no such host", True),
        (False, False, "no such host", False),
    ],
)
def test_the_standin_is_used_only_where_the_real_provider_cannot_be_had(
    cached: bool, on_path: bool, refused: str | None, real: bool
) -> None:
    chosen = docker_provider.decide(cached=cached, on_path=on_path, refused=refused, standin=STANDIN)
    assert chosen is not None
    assert chosen.real is real
    assert (chosen.path == STANDIN) is not real
    if not real:
        assert refused is not None
        assert refused in chosen.why


def test_a_download_is_tried_before_the_standin_is_chosen() -> None:
    assert docker_provider.decide(cached=False, on_path=False, refused=None, standin=STANDIN) is None


def test_a_refused_download_is_tried_again_after_a_day() -> None:
    record = json.dumps({"at": 1000.0, "why": "no such host"})
    assert docker_provider.noted_refusal(record, 1000.0 + 3600) == "no such host"
    assert docker_provider.noted_refusal(record, 1000.0 + 25 * 3600) is None
    assert docker_provider.noted_refusal(record, 0.0) is None
    assert docker_provider.noted_refusal(record, None) == "no such host"
    assert docker_provider.noted_refusal("{half", None) is None


def test_why_a_download_failed_is_said_in_a_few_words() -> None:
    error = 'Get "https://…": dial tcp: lookup … on 10.0.0.1:53: no such host'
    assert docker_provider.reason(error) == "Pulumi's plugin site can't be reached (no such host)"
    assert docker_provider.reason("no answer within 180 s") == "Pulumi's plugin site doesn't answer"


UNREACHABLE = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


@pytest.mark.parametrize(
    ("client", "error", "daemon", "root", "apt", "systemd", "step", "remedy"),
    [
        (False, "", False, True, True, False, "install", "install Docker Engine"),
        (False, "", False, False, False, True, None, "install Docker Engine"),
        (True, UNREACHABLE, True, True, True, False, "start-by-hand", "start dockerd"),
        (True, UNREACHABLE, True, True, True, True, "start-systemd", "start dockerd"),
        (True, UNREACHABLE, True, False, False, True, None, "sudo systemctl start docker"),
        (True, "permission denied while trying to connect", True, False, False, True, None, "group docker"),
        (True, "error during connect: bad certificate", True, True, True, False, None, "docker version"),
    ],
)
def test_a_missing_docker_is_mended_only_where_that_is_safe(
    client: bool, error: str, daemon: bool, root: bool, apt: bool, systemd: bool, step: str | None, remedy: str
) -> None:
    found = docker_engine.absence(client=client, error=error, daemon=daemon, root=root, apt=apt, systemd=systemd)
    assert found.step == step
    assert remedy in found.remedy


def test_the_docker_contexts_endpoint_is_used_unless_it_is_the_default() -> None:
    def inspected(host: str) -> str:
        return json.dumps([{"Endpoints": {"docker": {"Host": host}}}])

    assert docker_engine.context_host(inspected("unix:///home/a/.colima/docker.sock")) == (
        "unix:///home/a/.colima/docker.sock"
    )
    assert docker_engine.context_host(inspected("unix:///var/run/docker.sock")) is None
    assert docker_engine.context_host("") is None


def test_a_base_of_another_maker_is_taken_as_it_is() -> None:
    assert base_image.judge({}, "key") == base_image.Base(made=False, current=True)


def test_a_base_made_here_is_made_anew_when_what_it_depends_on_has_changed() -> None:
    sources = [Source("", "http://archive.example/debian")]
    key = base_image.recipe_key("certificates", sources)
    labels = {base_image.MADE_LABEL: "debootstrap", base_image.RECIPE_LABEL: key}
    assert base_image.judge(labels, key).current
    assert not base_image.judge(labels, base_image.recipe_key("other certificates", sources)).current
    assert not base_image.judge(labels, base_image.recipe_key("certificates", [])).current


def test_only_the_machines_own_authorities_are_added() -> None:
    def certificate(body: str) -> str:
        return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"

    usual = certificate("AAAA") + certificate("BBBB")
    trusted = certificate("BBBB") + "# a comment\n" + certificate("OWN1")
    assert base_image.own_authorities(trusted, usual) == [certificate("OWN1")]


def test_an_environment_is_stale_once_the_lock_file_has_changed() -> None:
    assert python_env.stamp(b"a==1\n") != python_env.stamp(b"a==2\n")
