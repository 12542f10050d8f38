"""Finding an image in the engine, and pulling it where it isn't there."""

from __future__ import annotations

from typing import Any

from docker_provider.docker_engine import failures, found
from docker_provider.errors import ProviderError
from docker_provider.operation import Operation


def local_image(name: str, op: Operation) -> dict[str, Any] | None:
    """What the engine knows of the image, None if it isn't there. Contacts no registry."""
    with failures(f"image {name}"):
        return found(lambda: op.docker.api.inspect_image(name))


def pulled_image(name: str, platform: str | None, op: Operation) -> dict[str, Any]:
    """The image, fresh from its registry; raises `ProviderError`."""
    op.status(f"pulling {name}")
    with failures(f"image {name}: cannot be pulled"):
        repository, tag = _parts(name)
        for line in op.docker.api.pull(repository, tag=tag, platform=platform, stream=True, decode=True):
            op.pause(0)
            if "error" in line:
                raise ProviderError(f"image {name}: cannot be pulled: {line['error']}")
    image = local_image(name, op)
    if image is None:
        raise ProviderError(f"image {name}: was pulled but is not there under that name")
    return image


def present_image(name: str, platform: str | None, op: Operation) -> dict[str, Any]:
    """The image as it is in the engine, pulled only if it isn't there."""
    return local_image(name, op) or pulled_image(name, platform, op)


def _parts(name: str) -> tuple[str, str]:
    """Repository and tag or digest of an image's name."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    head, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return f"{head}{slash}{repository}", tag or "latest"
