"""How the launcher behaves towards an engine that is too old, breaks off, or is gone; and its health check."""

import contextlib
import json
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from mcp_launcher import health
from mcp_launcher.engine import Engine, EngineError
from mcp_launcher.transport import Transport
from mcp_launcher.watch import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, back_off

LAUNCHER = Path(__file__).parents[2] / "images" / "launcher"


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    version = "1.41"
    events: tuple[bytes, ...] = ()
    paths: list[str]


class _Answers(BaseHTTPRequestHandler):
    server: _UnixServer

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("Api-Version", self.server.version)
        self.end_headers()
        if "/events" in self.path:
            for event in self.server.events:
                self.wfile.write(event)
                self.wfile.flush()
        elif self.path != "/_ping":
            self.wfile.write(b"{}" if "/volumes" in self.path else b"[]")


@contextlib.contextmanager
def listening(path: Path) -> Iterator[_UnixServer]:
    server = _UnixServer(str(path), _Answers)
    server.paths = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_an_engine_that_is_too_old_is_named(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as server:
        server.version = "1.40"
        with pytest.raises(EngineError, match=r"speaks API 1\.40; this needs 1\.41 or later"):
            Engine(Transport(str(tmp_path / "s"), "stack")).observe(anew=True)


def test_a_newer_engine_is_spoken_to_in_its_own_version(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as server:
        server.version = "1.52"
        assert Engine(Transport(str(tmp_path / "s"), "stack")).observe(anew=True).state.containers == ()
        assert all(path.startswith("/v1.52/") for path in server.paths if path != "/_ping")


def test_events_that_break_off_are_an_error_after_what_came(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as server:
        server.events = (b'{"status":"start"}\n',)
        stream = Engine(Transport(str(tmp_path / "s"), "stack")).events()
        next(stream)
        next(stream)
        with pytest.raises(EngineError, match="closed its events"):
            list(stream)


def test_only_the_own_stack_is_asked_for(tmp_path: Path) -> None:
    with listening(tmp_path / "s") as server:
        Engine(Transport(str(tmp_path / "s"), "quickstart")).observe(anew=True)
        listed = [path for path in server.paths if path != "/_ping"]
        assert len(listed) == 3
        assert all("mcp-hosting.stack%3Dquickstart" in path for path in listed)


def test_an_engine_that_is_gone_is_asked_again_and_again(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mcp_launcher",
                "--stack=s",
                f"--socket={tmp_path / 's'}",
                f"--socket-path={tmp_path / 'l'}",
                f"--templates-path={tmp_path / 't'}",
            ],
            env={"PYTHONPATH": str(LAUNCHER)},
            stdout=log,
        )
        try:
            deadline = time.monotonic() + 20
            while (tmp_path / "log").read_text().count("look failed") < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(timeout=5)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    failed = [line for line in lines if line["message"] == "look failed"]
    assert len(failed) >= 3
    assert "can't be reached" in failed[0]["reason"]


def test_back_off_grows_to_its_ceiling() -> None:
    waits = [back_off(failures) for failures in range(1, 40)]
    assert waits[0] == FIRST_RETRY_SECONDS
    assert waits == sorted(waits)
    assert waits[-1] == LAST_RETRY_SECONDS


def test_health_is_a_recent_success(tmp_path: Path) -> None:
    noted = tmp_path / "synced"
    assert not health.healthy(time.monotonic(), noted)
    health.record(noted)
    assert health.healthy(time.monotonic(), noted)
    assert not health.healthy(time.monotonic() + 61, noted)
    noted.write_text("nonsense")
    assert not health.healthy(time.monotonic(), noted)
