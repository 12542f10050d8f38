"""`docker:index/image:Image`: an image built from a Dockerfile by the engine's classic builder."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from docker_provider.build_context import build_context, digest, write_archive
from docker_provider.check import Failure
from docker_provider.docker_engine import failures
from docker_provider.errors import ProviderError
from docker_provider.fields import Change, Fields, boolean, mapping, nested, string, strings
from docker_provider.images import local_image
from docker_provider.operation import Found, Operation
from docker_provider.properties import UNKNOWN, Properties, has_unknown, plain, resecret

OUTPUT_LINES = 15
STATUS_LENGTH = 100
BUILD_SECONDS = 3600

_BUILD: Fields = {
    "context": string(),
    "dockerfile": string(),
    "args": mapping(),
    "target": string(),
    "platform": string(),
    "network": string(),
    "addHosts": strings(),
    "cacheFrom": nested({"images": strings()}),
    "builderVersion": string(pattern="BuilderV1"),
    "contextDigest": string(),
}

IMAGE: Fields = {
    "imageName": string(required=True, change=Change.UPDATE),
    "build": nested(_BUILD, change=Change.UPDATE),
    "skipPush": boolean(change=Change.UPDATE),
    "buildOnPreview": boolean(change=Change.UPDATE),
}
"""The input properties that are supported."""


class Image:
    """An image; its id is its first name. Any change builds again; it is never removed from the engine."""

    token = "docker:index/image:Image"  # noqa: S105 - a type token
    fields = IMAGE
    computed: Mapping[str, str] = {
        "baseImageName": "string",
        "repoDigest": "string",
        "registryServer": "string",
        "context": "string",
        "dockerfile": "string",
    }
    autonamed = False
    delete_before_replace = False

    def prepare(self, inputs: Properties, op: Operation) -> Properties:
        """Adds the digest of the context to the build, so that a changed file shows as a change."""
        opened = plain(inputs)
        build = opened.get("build", {})
        if build is UNKNOWN or has_unknown([build.get("context"), build.get("dockerfile")]):
            return inputs
        context = build_context(build.get("context", "."), build.get("dockerfile"))
        build = {**build, "contextDigest": digest(context)}
        return {**inputs, "build": resecret(build, inputs.get("build"))}

    def failures(self, inputs: Properties) -> Iterator[Failure]:
        """Pushing needs a registry, which is what machines with this stand-in lack."""
        if inputs.get("skipPush") is not True:
            yield Failure("skipPush", "must be true: this stand-in builds into the engine and does not push")

    def create(self, inputs: Properties, op: Operation) -> tuple[str, Properties]:
        """Builds the image."""
        return inputs["imageName"], _built(inputs, op)

    def read(self, id: str, inputs: Properties, op: Operation) -> Found | None:
        """The image by name; one that is no longer in the engine is to be built again."""
        name = inputs.get("imageName", id)
        image = local_image(name, op)
        if image is None:
            return None
        if not inputs:
            inputs = {"imageName": name, "skipPush": True}
        return Found(id, inputs, _outputs(inputs, image))

    def update(self, id: str, old: Properties, inputs: Properties, op: Operation) -> Properties:
        """Builds again."""
        return _built(inputs, op)

    def planned(self, old: Properties, inputs: Properties) -> Mapping[str, Any]:
        """All but the digest of what will be built."""
        return {**_outputs(inputs, {"Id": UNKNOWN}), "repoDigest": UNKNOWN}

    def delete(self, id: str, outputs: Properties, op: Operation) -> None:
        """Leaves the image in the engine, as the real plugin does."""


def _built(inputs: Properties, op: Operation) -> Properties:
    name, build = inputs["imageName"], inputs.get("build", {})
    context = build_context(build.get("context", "."), build.get("dockerfile"))
    op.status("sending the build context")
    with tempfile.TemporaryFile() as archive, failures(f"image {name}: cannot be built"):
        write_archive(context, archive)
        lines = op.docker.api.build(
            fileobj=archive,
            custom_context=True,
            tag=name,
            dockerfile=context.dockerfile_name,
            buildargs=build.get("args"),
            target=build.get("target"),
            platform=build.get("platform"),
            network_mode=build.get("network"),
            extra_hosts=dict(host.split(":", 1) for host in build.get("addHosts", [])) or None,
            cache_from=build.get("cacheFrom", {}).get("images"),
            rm=True,
            forcerm=True,
            nocache=False,
            decode=True,
            timeout=BUILD_SECONDS,
        )
        _follow(name, lines, op)
    image = local_image(name, op)
    if image is None:
        raise ProviderError(f"image {name}: was built but is not there under that name")
    return _outputs(inputs, image)


def _follow(name: str, lines: Iterator[Mapping[str, Any]], op: Operation) -> None:
    """Shows each step as it begins; raises `ProviderError` with the failing step and what it printed last."""
    step = "the first step"
    printed: deque[str] = deque(maxlen=OUTPUT_LINES)
    for line in lines:
        op.pause(0)
        text = str(line.get("stream", "")).rstrip()
        if text.startswith("Step "):
            step = text
            printed.clear()
            op.status(text[:STATUS_LENGTH])
        elif text:
            printed.extend(text.splitlines())
        if "error" in line:
            output = "\n".join(printed)
            raise ProviderError(f"image {name}: {step}: {line['error']}\n{output}".rstrip())


def _outputs(inputs: Properties, image: Mapping[str, Any]) -> Properties:
    build = inputs.get("build", {})
    build = {} if build is UNKNOWN else build
    context = build.get("context", ".")
    return {
        **inputs,
        "baseImageName": inputs["imageName"],
        "registryServer": "",
        "repoDigest": image["Id"],
        "context": context,
        "dockerfile": build.get("dockerfile")
        or ("Dockerfile" if context in (".", UNKNOWN) else f"{context}/Dockerfile"),
    }
