"""`docker:index/remoteImage:RemoteImage`: an image that is used from the engine, or pulled if it isn't there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docker_provider.check import Failure
from docker_provider.docker_engine import failures, found
from docker_provider.fields import Change, Fields, boolean, mapping, string, strings
from docker_provider.images import local_image, present_image, pulled_image
from docker_provider.operation import Found, Operation
from docker_provider.properties import UNKNOWN, Properties

_PULLS = ("pullTriggers", "triggers", "platform")

REMOTE_IMAGE: Fields = {
    "name": string(required=True),
    "platform": string(change=Change.UPDATE),
    "keepLocally": boolean(change=Change.UPDATE),
    "forceRemove": boolean(change=Change.UPDATE),
    "pullTriggers": strings(change=Change.UPDATE, unordered=True),
    "triggers": mapping(change=Change.UPDATE),
}
"""The input properties that are supported."""


class RemoteImage:
    """An image by name; its id is the image's id and its name, as in the real plugin."""

    token = "docker:index/remoteImage:RemoteImage"  # noqa: S105 - a type token
    fields = REMOTE_IMAGE
    computed: Mapping[str, str] = {"imageId": "string", "repoDigest": "string"}
    autonamed = False
    delete_before_replace = False

    def prepare(self, inputs: Properties, op: Operation) -> Properties:
        """Nothing depends on the machine."""
        return inputs

    def failures(self, inputs: Properties) -> Iterator[Failure]:
        """Nothing beyond the shape."""
        return iter(())

    def create(self, inputs: Properties, op: Operation) -> tuple[str, Properties]:
        """Uses the image that is there, without contacting a registry, else pulls it."""
        image = present_image(inputs["name"], inputs.get("platform"), op)
        return f"{image['Id']}{inputs['name']}", _outputs(inputs, image)

    def read(self, id: str, inputs: Properties, op: Operation) -> Found | None:
        """The image by name, or by the id that this resource gave."""
        name = inputs.get("name") or id.removeprefix("sha256:")[64 if id.startswith("sha256:") else 0 :] or id
        image = local_image(name, op)
        if image is None:
            return None
        inputs = inputs or {"name": name}
        return Found(f"{image['Id']}{name}", inputs, _outputs(inputs, image))

    def update(self, id: str, old: Properties, inputs: Properties, op: Operation) -> Properties:
        """Pulls again if a trigger changed."""
        pull = any(old.get(key) != inputs.get(key) for key in _PULLS)
        find = pulled_image if pull else present_image
        return _outputs(inputs, find(inputs["name"], inputs.get("platform"), op))

    def planned(self, old: Properties, inputs: Properties) -> Mapping[str, Any]:
        """The image's id stays unless it is pulled again."""
        stays = bool(old) and all(old.get(key) == inputs.get(key) for key in _PULLS)
        return {**{key: old.get(key) if stays else UNKNOWN for key in self.computed}, **inputs}

    def delete(self, id: str, outputs: Properties, op: Operation) -> None:
        """Removes the image from the engine, unless it is to be kept."""
        if outputs.get("keepLocally"):
            return
        name = outputs["name"]
        with failures(f"image {name}: cannot be removed (keepLocally: true would leave it)"):
            found(lambda: op.docker.api.remove_image(name, force=bool(outputs.get("forceRemove"))))


def _outputs(inputs: Properties, image: Mapping[str, Any]) -> Properties:
    digests = image.get("RepoDigests") or []
    return {**inputs, "imageId": image["Id"], "repoDigest": digests[0] if digests else ""}
