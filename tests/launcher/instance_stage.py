"""A stack of the tests' own on a real engine, with a launcher that is spoken to as the control side does."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import docker
import pytest
from docker.errors import APIError
from mcp_launcher.transport import UnixConnection

from tests.launcher import documents

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "images" / "launcher"
ROLE, STACK = "mcp-hosting.role", "mcp-hosting.stack"
RUNNER = '#!/bin/sh\nexec /usr/bin/python3 -I /instance_double.py "$@"\n'
DOCKERFILE = """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3
COPY instance_double.py /instance_double.py
COPY --chmod=0755 runner /opt/runner/bin/python
"""
READY_SCRIPT = (ROOT / "templates" / "images" / "await-server.py").read_text()


def build_image(client: Any, folder: Path) -> str:
    """An image of Python that is an instance of either kind, and asks whether one is ready."""
    (folder / "instance_double.py").write_text((Path(__file__).parent / "instance_double.py").read_text())
    (folder / "runner").write_text(RUNNER)
    (folder / "runner").chmod(0o755)
    (folder / "Dockerfile").write_text(DOCKERFILE.replace("--chmod=0755 ", ""))
    image, _ = client.images.build(path=str(folder), rm=True)
    return str(image.id)


@dataclass
class InstanceStage:
    """One stack: its templates, its launcher, everything made under its label."""

    client: docker.DockerClient
    stack: str
    image: str
    folder: Path
    octet: int
    process: "subprocess.Popen[str] | None" = None
    servers: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=lambda: {"total": 80, "perUser": 70, "startsAtOnce": 4})

    @property
    def templates(self) -> Path:
        return self.folder / "instances.json"

    def server(self, name: str = "memory", **changed: Any) -> dict[str, Any]:
        return documents.server(name, image=self.image, name=f"mcp-{self.stack}-{name}", command=[["x"]], **changed)

    def own_http(self, name: str = "box", **changed: Any) -> dict[str, Any]:
        program = [["/usr/bin/python3"], ["-I"], ["/instance_double.py"]]
        fields: dict[str, Any] = {"bridge": None, "command": program, "volume": None} | changed
        return documents.server(name, image=self.image, name=f"mcp-{self.stack}-{name}", **fields)

    def deliver(self, *servers: dict[str, Any]) -> None:
        ready = {"image": self.image, "script": READY_SCRIPT}
        found = documents.document(
            *servers, stack=self.stack, ready=ready, limits=self.limits, range=f"10.213.{self.octet}.0/23"
        )
        new = self.folder / "new.json"
        new.write_bytes(documents.encoded(found))
        new.replace(self.templates)

    def launch(self) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mcp_launcher",
                f"--stack={self.stack}",
                f"--socket-path={self.folder / 'launcher.sock'}",
                f"--templates-path={self.templates}",
            ],
            env={"PYTHONPATH": str(LAUNCHER), "PATH": os.environ["PATH"]},
            stdout=(self.folder / "launcher.log").open("a"),
            stderr=subprocess.STDOUT,
            text=True,
        )
        wait_for(lambda: self.listed() is not None)

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)
            self.process = None

    def ask(self, method: str, target: str, body: Any = None, timeout: float = 90) -> tuple[int, Any]:
        connection = UnixConnection(str(self.folder / "launcher.sock"), timeout)
        try:
            connection.request(method, target, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(content) if kind == "application/json" else content
        finally:
            connection.close()

    def start(self, server: str = "memory", subject: str = documents.SUBJECT, **more: Any) -> tuple[int, Any]:
        body = {"server": server, "subject": subject, "values": {}, "revision": "a1", "replace": False, "force": False}
        return self.ask("POST", "/instances/start", body | more)

    def stop(self, server: str = "memory", subject: str = documents.SUBJECT) -> tuple[int, Any]:
        return self.ask("POST", "/instances/stop", {"server": server, "subject": subject})

    def of(self, path: str, server: str = "memory", subject: str = documents.SUBJECT, **more: str) -> str:
        return f"{path}?{urlencode({'server': server, 'subject': subject} | more)}"

    def listed(self) -> dict[str, Any] | None:
        try:
            status, found = self.ask("GET", "/instances")
        except OSError:
            return None
        return found if status == 200 else None

    def state(self, server: str = "memory", subject: str = documents.SUBJECT) -> str:
        found = self.listed()
        assert found is not None
        states = [
            each["state"] for each in found["instances"] if (each["server"], each["subject"]) == (server, subject)
        ]
        return states[0] if states else "stopped"

    def containers(self, role: str | None = "instance") -> list[Any]:
        filters = [f"{STACK}={self.stack}"] + ([f"{ROLE}={role}"] if role else [])
        return list(self.client.containers.list(all=True, filters={"label": filters}, ignore_removed=True))

    def networks(self) -> list[Any]:
        return list(self.client.networks.list(filters={"label": [f"{STACK}={self.stack}", f"{ROLE}=instance"]}))

    def volumes(self) -> list[Any]:
        return list(self.client.volumes.list(filters={"label": f"{STACK}={self.stack}"}))

    def nothing_left(self) -> bool:
        left = [each for each in self.containers(None) if each.labels.get("mcp-hosting.subject")]
        return not left and not self.networks()

    def edge(self) -> Any:
        self.client.networks.create(f"mcp-{self.stack}-gateway", labels={STACK: self.stack, ROLE: "gateway"})
        return self.client.containers.run(
            self.image,
            ["sleep", "900"],
            name=f"mcp-{self.stack}-gateway-edge",
            labels={STACK: self.stack, ROLE: "edge"},
            network=f"mcp-{self.stack}-gateway",
            detach=True,
            stop_signal="SIGKILL",
        )

    def delivery_container(self) -> Any:
        return self.client.containers.create(
            self.image, name=f"mcp-{self.stack}-gateway-templates", labels={STACK: self.stack, ROLE: "delivery"}
        )

    def clear(self) -> None:
        self.end()
        for container in self.containers(None):
            # What a launcher had asked for before it was killed, the engine still does.
            with contextlib.suppress(APIError):
                container.remove(force=True, v=True)
        wait_for(lambda: not self.containers(None))
        for network in self.client.networks.list(filters={"label": f"{STACK}={self.stack}"}):
            network.remove()
        for volume in self.volumes():
            volume.remove()
        log = self.folder / "launcher.log"
        print(log.read_text() if log.exists() else "")


def wait_for(holds: Callable[[], object], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds} s")
        time.sleep(0.05)


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What many threads got that began at once."""
    found: list[Any] = [None] * count

    def one(index: int) -> None:
        found[index] = work(index)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def inspected(container: Any) -> Mapping[str, Any]:
    container.reload()
    found: Mapping[str, Any] = container.attrs
    return found
