"""The provider process, spoken to as the engine does. No Docker Engine is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from docker_provider.properties import UNKNOWN, Secret, decode, encode, plain
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

PROGRAM = Path(__file__).parents[3] / "engine" / "docker-provider" / "pulumi-resource-docker"
URN = "urn:pulumi:s::p::{type}::name"
CONTAINER, NETWORK = "docker:index/container:Container", "docker:index/network:Network"


def started() -> tuple[subprocess.Popen[str], int]:
    environment = os.environ | {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    process = subprocess.Popen([str(PROGRAM)], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    process, port = started()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    process.kill()
    process.wait()


def check(provider: Any, type: str, inputs: dict[str, Any]) -> Any:
    return provider.Check(provider_pb2.CheckRequest(urn=URN.format(type=type), news=encode(inputs), randomSeed=b"s"))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_port_comes_soon_and_the_end_at_once(ending: signal.Signals) -> None:
    begin = time.monotonic()
    process, _ = started()
    took = time.monotonic() - begin
    time.sleep(0.7)  # by then it serves
    begin = time.monotonic()
    process.send_signal(ending)
    assert process.wait(5) == 0
    assert time.monotonic() - begin < 1
    assert took < 3  # 0.3 s on a quiet machine


def test_it_introduces_itself(provider: Any) -> None:
    assert provider.GetPluginInfo(Empty()).version == "5.2.0"
    answer = provider.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True))
    assert (answer.acceptSecrets, answer.supportsPreview) == (True, True)
    assert "stand-in" in provider.GetSchema(provider_pb2.GetSchemaRequest()).schema


def test_configuration_it_cannot_honour_is_refused_by_name(provider: Any) -> None:
    news = encode({"host": "ssh://elsewhere", "registryAuth": "[]", "version": "5.2.0"})
    answer = provider.CheckConfig(
        provider_pb2.CheckRequest(urn="urn:pulumi:s::p::pulumi:providers:docker::d", news=news)
    )
    assert [failure.property for failure in answer.failures] == ["registryAuth", "host"]


def test_a_preview_keeps_secrets_secret_and_the_unknown_unknown(provider: Any) -> None:
    uploads = [{"file": "/f", "content": Secret("hunter2")}]
    checked = check(provider, CONTAINER, {"image": UNKNOWN, "uploads": uploads})
    assert not checked.failures
    request = provider_pb2.CreateRequest(urn=URN.format(type=CONTAINER), properties=checked.inputs, preview=True)
    outputs = decode(provider.Create(request).properties)
    assert (outputs["image"], outputs["networkDatas"], outputs["uploads"]) == (UNKNOWN, UNKNOWN, uploads)
    assert plain(outputs["name"]).startswith("name-")


def diff(provider: Any, type: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    request = provider_pb2.DiffRequest(urn=URN.format(type=type), old_inputs=encode(old), news=encode(new))
    return provider.Diff(request)


def test_a_named_network_is_deleted_before_it_is_replaced_an_automatic_one_after(provider: Any) -> None:
    automatic = decode(check(provider, NETWORK, {}).inputs)
    answer = diff(provider, NETWORK, automatic, automatic | {"internal": True})
    assert (list(answer.replaces), answer.deleteBeforeReplace) == (["internal"], False)
    named = decode(check(provider, NETWORK, {"name": "n"}).inputs)
    assert diff(provider, NETWORK, named, named | {"internal": True}).deleteBeforeReplace
    assert diff(provider, CONTAINER, {"image": "a"}, {"image": "b"}).deleteBeforeReplace


def test_an_engine_that_does_not_answer_is_named_with_the_remedy(provider: Any) -> None:
    inputs = decode(check(provider, CONTAINER, {"image": "i", "envs": [Secret("A=hunter2")]}).inputs)
    with pytest.raises(grpc.RpcError) as failure:
        provider.Create(provider_pb2.CreateRequest(urn=URN.format(type=CONTAINER), properties=encode(inputs)))
    details = str(failure.value.details())
    assert "the Docker Engine at unix:///nowhere/docker.sock" in details
    assert "is the Docker Engine running" in details
    assert "hunter2" not in details


@pytest.mark.parametrize("token", ["docker:index/getNetwork:getNetwork", "docker:index/getLogs:getLogs"])
def test_functions_are_refused_by_name(provider: Any, token: str) -> None:
    with pytest.raises(grpc.RpcError, match=token):
        provider.Invoke(provider_pb2.InvokeRequest(tok=token))


def test_other_types_are_refused_by_name(provider: Any) -> None:
    with pytest.raises(grpc.RpcError, match="docker:index/service:Service: not supported"):
        check(provider, "docker:index/service:Service", {})
