"""The control side as a process on its socket, and the delivery beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from mcp_gateway import deliver
from mcp_gateway.documents.gateway import digest

from tests.gateway.control.control_site import gateway_document
from tests.gateway.rules import rule

IMAGES = Path(__file__).parents[3] / "images"


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("control", timeout=30)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


@dataclass
class Running:
    """A control side in a process of its own."""

    process: subprocess.Popen[str]
    folder: Path

    def get(self, path: str) -> HTTPResponse:
        """One request."""
        connection = UnixConnection(self.folder / "control.sock")
        connection.request("GET", path)
        return connection.getresponse()

    def deliver(self, document: dict[str, Any], seconds: float = 20) -> subprocess.CompletedProcess[str]:
        """Run the delivery as its container does."""
        (self.folder / "new.json").write_text(json.dumps(document))
        arguments = ["--document", str(self.folder / "new.json"), "--folder", str(self.folder / "delivery")]
        return run_part("deliver", *arguments, "--seconds", str(seconds))

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + 40
        while time.monotonic() < until:
            try:
                assert self.get("/healthz").status == 200
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the control side did not start")


def environment() -> dict[str, str]:
    """The environment of the image's processes."""
    path = os.pathsep.join(str(IMAGES / name) for name in ("gateway", "wire"))
    return {"PYTHONPATH": path, "PATH": os.environ["PATH"]}


def run_part(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a part of the gateway to its end."""
    command = [sys.executable, "-m", "mcp_gateway", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=50, check=False)


def start(folder: Path) -> Running:
    """Start a control side on a folder."""
    for name in ("state", "keys", "delivery"):
        (folder / name).mkdir(exist_ok=True)
    arguments = ["--state", folder / "state", "--key-file", folder / "keys" / "master.key"]
    arguments += ["--delivery", folder / "delivery", "--socket", folder / "control.sock"]
    command = [sys.executable, "-m", "mcp_gateway", "control", *map(str, arguments)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return Running(process, folder)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A control side without a document."""
    started = start(tmp_path)
    try:
        started.wait()
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


@rule(27)
def test_a_delivery_is_acknowledged_and_a_bad_one_changes_nothing(running: Running) -> None:
    assert running.get("/.well-known/oauth-authorization-server").status == 503
    done = running.deliver(gateway_document())
    assert (done.returncode, done.stderr) == (0, "")
    assert running.get("/.well-known/oauth-authorization-server").status == 200
    written = running.folder / "delivery" / "gateway.json"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    acknowledged = json.loads((running.folder / "delivery" / "applied.json").read_text())
    assert acknowledged == {"digest": digest(written.read_bytes()), "problems": []}
    before = written.read_bytes()
    refused = running.deliver(gateway_document(publicUrl="http://mcp.example.com", extra=1))
    assert refused.returncode == 1
    assert "publicUrl: may use http on" in refused.stderr
    assert "extra: is not a known field" in refused.stderr
    assert written.read_bytes() == before
    assert running.deliver(gateway_document()).returncode == 0


def test_it_stops_soon_with_a_poll_open_and_starts_again(running: Running, tmp_path: Path) -> None:
    assert running.deliver(gateway_document()).returncode == 0
    edge = json.loads(running.get("/internal/edge").read())
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o660
    for name in ("state/gateway.db", "keys/master.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    statuses: list[int] = []
    poll = threading.Thread(
        target=lambda: statuses.append(running.get(f"/internal/edge?after={edge['version']}").status)
    )
    poll.start()
    time.sleep(0.5)
    begin = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    out, err = running.process.communicate(timeout=10)
    assert time.monotonic() - begin < 3
    poll.join()
    assert statuses == [204]
    assert running.process.returncode == 0
    assert err == ""
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events == ["document-applied"]
    again = start(tmp_path)
    try:
        again.wait()
        assert json.loads(again.get("/internal/edge").read()) == edge
    finally:
        again.process.kill()
        again.process.communicate()


def test_a_wrong_key_file_is_told_in_one_line(running: Running, tmp_path: Path) -> None:
    running.process.send_signal(signal.SIGTERM)
    running.process.communicate(timeout=10)
    (tmp_path / "keys" / "master.key").write_bytes(b"x" * 32)
    failed = start(tmp_path)
    _, err = failed.process.communicate(timeout=40)
    assert failed.process.returncode == 1
    assert err.count("\n") == 1
    assert "restore the key file that belongs to it" in err


def test_a_delivery_that_nobody_takes_says_so(tmp_path: Path) -> None:
    with pytest.raises(deliver.NotDelivered, match=r"did not take the document within 0\.2 s"):
        deliver.deliver(json.dumps(gateway_document()).encode(), tmp_path, 0.2)


def test_a_delivery_that_the_control_side_refuses_says_why(tmp_path: Path) -> None:
    raw = json.dumps(gateway_document()).encode()
    (tmp_path / "applied.json").write_text(json.dumps({"digest": digest(raw), "problems": ["users: too old an image"]}))
    with pytest.raises(deliver.NotDelivered, match="users: too old an image"):
        deliver.deliver(raw, tmp_path, 1)


def test_a_document_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    missing = run_part("deliver", "--document", str(tmp_path / "none.json"), "--folder", str(tmp_path))
    assert missing.returncode == 1
    assert "none.json: No such file" in missing.stderr
