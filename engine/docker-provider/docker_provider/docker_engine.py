"""The edge to the Docker Engine: a client for each thread, and its failures in words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from docker_provider.errors import ProviderError

DEFAULT_HOST = "unix:///var/run/docker.sock"
STACK_LABEL = "mcp-hosting.stack"
"""Objects with this label, and the same value as the wanted one, are the stack's own."""

_REQUEST_SECONDS = 120
_SDK_LOCK = threading.Lock()
T = TypeVar("T")


def load_sdk() -> None:
    """Imports the Docker SDK, by one thread at a time: it takes half a second, and its modules import each other."""
    with _SDK_LOCK:
        import docker.errors
        import docker.utils.build  # noqa: F401


class DockerEngine:
    """One Docker Engine. The SDK's session isn't safe to share, so each thread gets a client of its own."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._local = threading.local()
        self._lock = threading.Lock()
        self._version: str | None = None

    @property
    def api(self) -> Any:
        """This thread's `docker.APIClient`; the first one agrees on the API's version with the engine."""
        client = getattr(self._local, "client", None)
        if client is None:
            load_sdk()
            from docker import APIClient

            with failures(f"the Docker Engine at {self.host}"), self._lock:
                client = APIClient(base_url=self.host, version=self._version or "auto", timeout=_REQUEST_SECONDS)
                self._version = client.api_version
            self._local.client = client
        return client

    def post(self, path: str, id: str, body: Mapping[str, Any]) -> None:
        """A request for which the SDK lacks a field; `path` has a place `{0}` for the id."""
        api = self.api
        api._raise_for_status(api._post_json(api._url(path, id), data=dict(body)))

    def has_path(self, container: str, path: str) -> bool:
        """Whether the container's file system has something at `path`."""
        api = self.api
        response = api.head(api._url("/containers/{0}/archive", container), params={"path": path})
        return bool(response.status_code == 200)


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Turns failures of the engine into a `ProviderError` that starts with `what`."""
    load_sdk()
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise ProviderError(f"{what}: {error.explanation or error}") from error
    except requests.RequestException as error:
        raise ProviderError(
            f"{what}: the Docker Engine does not answer ({type(error).__name__}); "
            "start it, or set docker:host or DOCKER_HOST"
        ) from error
    except DockerException as error:
        raise ProviderError(f"{what}: {error}; is the Docker Engine running, and may this user use it?") from error


def found(look_up: Callable[[], T]) -> T | None:
    """What `look_up` finds, None where the engine says that there is no such object."""
    load_sdk()
    from docker.errors import NotFound

    try:
        return look_up()
    except NotFound:
        return None


def same_stack(existing: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Whether both sets of labels name one stack: then the object was left by an interrupted run of that stack."""
    stack = wanted.get(STACK_LABEL)
    return bool(stack) and (existing or {}).get(STACK_LABEL) == stack
