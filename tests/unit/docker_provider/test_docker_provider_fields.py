"""The tables of supported properties against the real SDK: no name is invented, no nested one is misspelt."""

from __future__ import annotations

import json
from typing import Any

import pulumi_docker
import pytest
from docker_provider.fields import Change, Field, Fields, Kind
from docker_provider.schema import schema
from docker_provider.servicer import RESOURCES
from pulumi._types import input_type_py_to_pulumi_names

SDK: dict[str, Any] = {
    "docker:index/container:Container": pulumi_docker.ContainerArgs,
    "docker:index/network:Network": pulumi_docker.NetworkArgs,
    "docker:index/volume:Volume": pulumi_docker.VolumeArgs,
    "docker:index/image:Image": pulumi_docker.ImageArgs,
    "docker:index/remoteImage:RemoteImage": pulumi_docker.RemoteImageArgs,
}
NESTED: dict[str, Any] = {
    "capabilities": pulumi_docker.ContainerCapabilitiesArgs,
    "healthcheck": pulumi_docker.ContainerHealthcheckArgs,
    "hosts": pulumi_docker.ContainerHostArgs,
    "labels": pulumi_docker.ContainerLabelArgs,
    "mounts": pulumi_docker.ContainerMountArgs,
    "bindOptions": pulumi_docker.ContainerMountBindOptionsArgs,
    "tmpfsOptions": pulumi_docker.ContainerMountTmpfsOptionsArgs,
    "volumeOptions": pulumi_docker.ContainerMountVolumeOptionsArgs,
    "networksAdvanced": pulumi_docker.ContainerNetworksAdvancedArgs,
    "ports": pulumi_docker.ContainerPortArgs,
    "ulimits": pulumi_docker.ContainerUlimitArgs,
    "uploads": pulumi_docker.ContainerUploadArgs,
    "volumes": pulumi_docker.ContainerVolumeArgs,
    "ipamConfigs": pulumi_docker.NetworkIpamConfigArgs,
    "build": pulumi_docker.DockerBuildArgs,
    "cacheFrom": pulumi_docker.CacheFromArgs,
}
OWN = {"contextDigest"}  # the real plugin adds it as well, though the SDK has no argument for it


def names(arguments: Any) -> set[str]:
    return set(input_type_py_to_pulumi_names(arguments).values())


def nested(fields: Fields) -> list[tuple[str, Field]]:
    found = []
    for name, field in fields.items():
        if field.fields is not None:
            found += [(name, field), *nested(field.fields)]
    return found


@pytest.mark.parametrize("token", SDK)
def test_every_property_is_the_sdks(token: str) -> None:
    fields = RESOURCES[token].fields
    assert set(fields) <= names(SDK[token])
    for name, field in nested(fields):
        assert set(field.fields or {}) - OWN <= names(NESTED[name]), name


@pytest.mark.parametrize("token", SDK)
def test_type_tokens_are_the_sdks(token: str) -> None:
    resource = getattr(pulumi_docker, token.rpartition(":")[2])
    assert resource.pulumi_type == token
    outputs = {name for name in dir(resource) if not name.startswith("_")}
    for computed in RESOURCES[token].computed:
        python = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in computed)
        assert python in outputs


def test_what_the_real_plugin_updates_in_place() -> None:
    updatable = {
        name
        for name, field in RESOURCES["docker:index/container:Container"].fields.items()
        if field.change is not Change.REPLACE
    }
    assert {"memory", "memorySwap", "cpuShares", "cpuSet", "restart", "maxRetryCount"} <= updatable
    assert {
        "mustRun",
        "destroyGraceSeconds",
        "wait",
        "waitTimeout",
        "attach",
        "logs",
        "start",
        "removeVolumes",
    } <= updatable
    assert not updatable & {"image", "name", "envs", "uploads", "capabilities", "readOnly", "user", "networksAdvanced"}


def test_the_schema_describes_every_type_and_every_reference_in_it_resolves() -> None:
    described = json.loads(schema(RESOURCES.values()))
    assert set(described["resources"]) == set(SDK)
    assert described["resources"]["docker:index/container:Container"]["requiredInputs"] == ["image"]
    text = json.dumps(described)
    references = {piece.split('"')[0] for piece in text.split("#/types/")[1:]}
    assert references
    assert references <= set(described["types"])


def test_kinds_match_the_sdk_for_scalars() -> None:
    annotations = pulumi_docker.ContainerArgs.__init__.__annotations__
    kinds = {"builtins.int": Kind.INTEGER, "builtins.bool": Kind.BOOLEAN, "builtins.str": Kind.STRING}
    pythons = {wire: python for python, wire in input_type_py_to_pulumi_names(pulumi_docker.ContainerArgs).items()}
    for name, field in RESOURCES["docker:index/container:Container"].fields.items():
        hint = str(annotations[pythons[name]]).replace("_builtins", "builtins")
        if "Sequence" in hint or "Mapping" in hint or "Args" in hint:
            assert field.kind not in kinds.values(), name
        else:
            assert field.kind is next(kind for word, kind in kinds.items() if word.split(".")[1] in hint), name
