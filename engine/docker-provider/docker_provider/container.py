"""`docker:index/container:Container`: a container's life."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docker_provider import container_state as state
from docker_provider.check import Failure
from docker_provider.container_body import create_body, endpoint, labels, update_body
from docker_provider.container_fields import CONTAINER, LIMITS
from docker_provider.docker_engine import STACK_LABEL, failures, found, same_stack
from docker_provider.errors import ProviderError
from docker_provider.images import local_image, present_image
from docker_provider.operation import Found, Operation
from docker_provider.properties import UNKNOWN, Properties
from docker_provider.uploads import archive, files, parents, upload_failures

LOG_LINES = 20
ATTACH_SECONDS = 20 * 60
"""The real plugin's limit for a creation."""
SETTLE_SECONDS = 0.1
"""A container that must run is looked at this long after its start: does it still?"""
REMOVAL_SECONDS = 30

_ASSIGNED = ("hostname", "command", "entrypoints", "init", "ipcMode", "logDriver", "runtime", "securityOpts", "shmSize")


class Container:
    """A container."""

    token = "docker:index/container:Container"  # noqa: S105 - a type token
    fields = CONTAINER
    computed: Mapping[str, str] = {
        "bridge": "string",
        "containerLogs": "string",
        "exitCode": "integer",
        "networkDatas": "list of objects",
    }
    autonamed = True
    delete_before_replace = True

    def prepare(self, inputs: Properties, op: Operation) -> Properties:
        """Nothing depends on the machine."""
        return inputs

    def failures(self, inputs: Properties) -> Iterator[Failure]:
        """Combinations that Docker or the real plugin refuses."""
        yield from upload_failures(inputs)
        if inputs.get("networksAdvanced") and inputs.get("networkMode", "bridge") not in ("bridge", "default", UNKNOWN):
            yield Failure("networkMode", "cannot be stated together with networksAdvanced")
        if inputs.get("wait") is True and inputs.get("start") is False:
            yield Failure("wait", "needs start to be true")
        if inputs.get("logs") is True and inputs.get("attach") is not True:
            yield Failure("logs", "needs attach to be true")
        if inputs.get("rm") is True and inputs.get("attach") is True:
            yield Failure("rm", "cannot be true together with attach: the container's exit code would be gone with it")
        for i, volume in enumerate(inputs.get("volumes", [])):
            if isinstance(volume, dict) and not (volume.get("containerPath") or volume.get("fromContainer")):
                yield Failure(f"volumes[{i}]", "needs containerPath or fromContainer")

    def create(self, inputs: Properties, op: Operation) -> tuple[str, Properties]:
        """Makes the container, fills, connects, starts and awaits it; removes it again if any of that fails."""
        name = inputs["name"]
        self._clear_way(name, labels(inputs), op)
        present_image(inputs["image"], None, op)
        with failures(f"container {name}: cannot be made"):
            id = op.docker.api.create_container_from_config(create_body(inputs), name)["Id"]
        try:
            self._upload(id, inputs, op)
            self._connect(id, inputs, op)
            if inputs.get("start", True):
                self._start(id, inputs, op)
            inspected = self._inspect(id, op)
            outputs = state.outputs(inputs, inspected)
            if inputs.get("attach") and inputs.get("logs"):
                outputs["containerLogs"] = self._logs(id, None, op)
        except BaseException:
            self._remove(id, inputs, op)
            raise
        return id, outputs

    def read(self, id: str, inputs: Properties, op: Operation) -> Found | None:
        """The container by id or name; one that should run but has stopped counts as gone, as in the real plugin."""
        with failures(f"container {id}"):
            inspected: Any = found(lambda: op.docker.api.inspect_container(id))
        if inspected is None:
            return None
        if not inputs:
            inputs = state.imported(inspected, local_image(inspected["Image"], op))
            return Found(inspected["Id"], inputs, state.outputs(inputs, inspected))
        if inputs.get("mustRun", True) and inputs.get("start", True) and not state.runs(inspected):
            # One with the stack's label is replaced by the next creation; any other would stand in its way.
            if not labels(inputs).get(STACK_LABEL):
                self._remove(inspected["Id"], inputs, op)
            return None
        inputs = state.drifted(inputs, inspected)
        return Found(inspected["Id"], inputs, state.outputs(inputs, inspected))

    def update(self, id: str, old: Properties, inputs: Properties, op: Operation) -> Properties:
        """Changes limits and restart policy, starts a container that should now run; the rest is the provider's own."""
        if any(old.get(key) != inputs.get(key) for key in (*LIMITS, "restart", "maxRetryCount")):
            with failures(f"container {inputs['name']}: cannot be updated"):
                op.docker.post("/containers/{0}/update", id, update_body(inputs))
        inspected = self._inspect(id, op)
        if inputs.get("start", True) and inputs.get("mustRun", True) and not state.runs(inspected):
            self._start(id, inputs, op)
            inspected = self._inspect(id, op)
        return state.outputs(inputs, inspected)

    def planned(self, old: Properties, inputs: Properties) -> Mapping[str, Any]:
        """What the engine will assign is unknown before a creation and stays in an update."""
        assigned = {key: old.get(key) if old else UNKNOWN for key in (*self.computed, *_ASSIGNED)}
        return {**assigned, **inputs}

    def delete(self, id: str, outputs: Properties, op: Operation) -> None:
        """Stops the container within its grace period, then removes it."""
        grace = outputs.get("destroyGraceSeconds", 0)
        with failures(f"container {outputs.get('name', id)}: cannot be stopped"):
            if grace > 0 and not outputs.get("attach"):
                found(lambda: op.docker.api.stop(id, timeout=grace))
        self._remove(id, outputs, op)

    def _clear_way(self, name: str, wanted: Mapping[str, str], op: Operation) -> None:
        with failures(f"container {name}"):
            existing: Any = found(lambda: op.docker.api.inspect_container(name))
        if existing is None or existing["Name"] != f"/{name}":
            return
        if not same_stack(existing["Config"].get("Labels"), wanted):
            raise ProviderError(
                f"container {name}: exists already and is not this stack's (no equal label {STACK_LABEL}), so it was "
                f"left alone; remove it (`docker rm -f {name}`), import it "
                f"(`pulumi import {self.token} <resource> {name}`) "
                "or choose another name"
            )
        op.info(f"container {name}: replacing the one that an interrupted run left behind")
        self._remove(existing["Id"], {"removeVolumes": True}, op)

    def _upload(self, id: str, inputs: Properties, op: Operation) -> None:
        for file in files(inputs):
            missing = [
                folder
                for folder in parents(file)
                if not op.docker.has_path(id, f"{file.destination.rstrip('/')}/{folder}")
            ]
            with failures(f"container {inputs['name']}: cannot upload {file.path} to {file.destination}"):
                op.docker.api.put_archive(id, file.destination, archive(file, missing))

    def _connect(self, id: str, inputs: Properties, op: Operation) -> None:
        for network in inputs.get("networksAdvanced", [])[1:]:
            with failures(f"container {inputs['name']}: cannot join network {network['name']}"):
                body = {"Container": id, "EndpointConfig": endpoint(network)}
                op.docker.post("/networks/{0}/connect", network["name"], body)

    def _start(self, id: str, inputs: Properties, op: Operation) -> None:
        name, must_run = inputs["name"], inputs.get("mustRun", True)
        with failures(f"container {name}: cannot be started"):
            op.docker.api.start(id)
        if inputs.get("attach"):
            self._await_exit(id, name, must_run, op)
        elif inputs.get("wait"):
            self._await_health(id, name, inputs.get("waitTimeout", 60), op)
        elif must_run:
            op.pause(SETTLE_SECONDS)
            inspected = self._inspect(id, op)
            if not state.runs(inspected):
                raise self._failed(id, f"container {name}: exited immediately with code {_exit_code(inspected)}", op)

    def _await_exit(self, id: str, name: str, must_run: bool, op: Operation) -> None:
        for _ in op.until(ATTACH_SECONDS):
            inspected = self._inspect(id, op)
            if state.runs(inspected):
                continue
            if must_run:
                raise self._failed(id, f"container {name}: has ended, but mustRun is true", op)
            if code := _exit_code(inspected):
                raise self._failed(id, f"container {name}: ended with exit code {code}", op)
            return
        raise self._failed(id, f"container {name}: still running after {ATTACH_SECONDS} seconds", op)

    def _await_health(self, id: str, name: str, seconds: float, op: Operation) -> None:
        status = "starting"
        for _ in op.until(seconds):
            inspected = self._inspect(id, op)
            if "Health" not in inspected["State"]:
                raise self._failed(id, f"container {name}: wait is true, but it has no healthcheck", op)
            status = inspected["State"]["Health"]["Status"]
            if status == "healthy":
                return
            if not state.runs(inspected):
                raise self._failed(
                    id, f"container {name}: exited with code {_exit_code(inspected)} before it was healthy", op
                )
        raise self._failed(id, f"container {name}: not healthy after {seconds} seconds (it is {status})", op)

    def _failed(self, id: str, message: str, op: Operation) -> ProviderError:
        logs = self._logs(id, LOG_LINES, op).strip()
        return ProviderError(f"{message}; its last log lines:\n{logs}" if logs else f"{message}; it logged nothing")

    def _logs(self, id: str, lines: int | None, op: Operation) -> str:
        with failures(f"container {id}: cannot read its log"):
            logs: bytes = op.docker.api.logs(id, tail="all" if lines is None else lines)
        return logs.decode(errors="replace")

    def _inspect(self, id: str, op: Operation) -> dict[str, Any]:
        with failures(f"container {id}"):
            inspected: dict[str, Any] = op.docker.api.inspect_container(id)
        return inspected

    def _remove(self, id: str, properties: Mapping[str, Any], op: Operation) -> None:
        api = op.docker.api
        with failures(f"container {properties.get('name', id)}: cannot be removed"):
            try:
                found(lambda: api.remove_container(id, v=properties.get("removeVolumes", True), force=True))
            except Exception as error:
                if "already in progress" not in str(error):
                    raise
            for _ in Operation.until(_uncancelled(op), REMOVAL_SECONDS):
                if found(lambda: api.inspect_container(id)) is None:
                    return
        raise ProviderError(
            f"container {properties.get('name', id)}: still there {REMOVAL_SECONDS} seconds after its removal"
        )


def _exit_code(inspected: Mapping[str, Any]) -> int:
    return int(inspected["State"].get("ExitCode", 0))


def _uncancelled(op: Operation) -> Operation:
    """Cleaning up goes on in a run that is being cancelled."""
    import threading
    from dataclasses import replace

    return replace(op, cancelled=threading.Event())
