"""A double of the launcher at a real Unix socket, speaking docs/contracts.md, section 8.

    with LauncherDouble(tmp_path / "launcher.sock", {"memory"}) as launcher:
        ...give the control side `--launcher <path>` (in this process: `build_control_side(launcher=launcher.path)`)...

It takes starts for the servers that it has templates of. Each instance is a small HTTP server at a port of loopback,
which answers every POST with a JSON-RPC result, and every GET with the same object: `{"server", "subject", "values"}`,
the values' SHA-256 in hexadecimal by placeholder. With `serve=False` there is no server behind the addresses, which are
then as the launcher's are.

What a test may do, at any moment and from any thread:
- `fail["memory"] = refusal("start-failed", "it ended", log=["boom"])`: starts of this server fail so until `del`.
- `hold.clear()`: starts wait until `hold.set()`; `hold_stops` does the same for stops. `delay`: seconds for each start.
- `change_template("memory")`: instances that run aren't current any more.
- `die(key)`: the instance ends by itself; `die_silently(key)`: its port closes, the launcher doesn't see it.
- `halt()` and `resume()`: the launcher is away, and back, with its instances (a container that is replaced).
- `forget()`: all instances are gone, as after a reboot of the host. Volumes stay.
- `starts`, `stops`: the bodies of the requests that came; `instances`, `data`: what there is.
- `log[key]`: the lines that `GET /instances/log` answers.

A key is `(server id, subject)`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import socket
import socketserver
import tarfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Key = tuple[str, str]
STATUSES = {
    "unknown-server": 404,
    "bad-request": 422,
    "limit-user": 429,
    "limit-total": 429,
    "start-failed": 502,
    "back-off": 503,
    "engine": 503,
}
HOLD_SECONDS = 25.0


def refusal(code: str, message: str, *, retry: float | None = None, log: tuple[str, ...] | list[str] = ()) -> Refusal:
    """A failure that the double answers with."""
    return Refusal({"error": code, "message": message, "retrySeconds": retry, "log": list(log)})


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["message"])
        self.answer = answer


class Home(ThreadingHTTPServer):
    """One instance's own server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _HomeHandler)
        self.told = told
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def end(self) -> None:
        """Close the port."""
        self.shutdown()
        self.server_close()


class _HomeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Home

    def log_message(self, format: str, *arguments: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self._send(200, self.server.told)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        if isinstance(message, dict) and "id" in message:
            self._send(200, {"jsonrpc": "2.0", "id": message["id"], "result": self.server.told})
        else:
            self._send(202, None)

    def do_DELETE(self) -> None:
        self._send(200, None)

    def _send(self, status: int, content: dict[str, Any] | None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass
class DoubleInstance:
    """An instance as the double holds it."""

    key: Key
    state: str
    revision: str
    template: int
    values: dict[str, str]
    url: str = ""
    started_at: float = 0.0
    home: Home | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


class LauncherDouble:
    """See the module."""

    def __init__(self, path: Path, servers: set[str], *, serve: bool = True) -> None:
        self.path = path
        self.templates = dict.fromkeys(servers, 1)
        self.serve = serve
        self.instances: dict[Key, DoubleInstance] = {}
        self.data: set[Key] = set()
        self.volumes = set(servers)
        self.starts: list[dict[str, Any]] = []
        self.stops: list[Key] = []
        self.launched: Counter[Key] = Counter()
        self.fail: dict[str, Refusal] = {}
        self.hold, self.hold_stops = threading.Event(), threading.Event()
        self.hold.set()
        self.hold_stops.set()
        self.delay = 0.0
        self.per_user = 1000
        self.log: dict[Key, list[str]] = {}
        self._changed = threading.Condition()
        self._turns: defaultdict[Key, threading.Lock] = defaultdict(threading.Lock)
        self._addresses = itertools.count(1)
        self._moments = itertools.count(1)
        self._listener: _Listener | None = None

    def __enter__(self) -> Self:
        self.resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold.set()
        self.hold_stops.set()
        self.halt()
        self.forget()

    def resume(self) -> None:
        """Listen."""
        self.path.unlink(missing_ok=True)
        self._listener = _Listener(str(self.path), self)
        os.chmod(self.path, 0o660)
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()

    def halt(self) -> None:
        """Go away: requests under way are broken off, instances go on."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown()
            listener.server_close()
            listener.cut()
            self.path.unlink(missing_ok=True)
        with self._changed:
            self._changed.notify_all()

    def forget(self) -> None:
        """Lose every instance."""
        for key in list(self.instances):
            self.die(key)

    def die(self, key: Key) -> None:
        """End an instance; the list tells."""
        with self._changed:
            instance = self.instances.pop(key, None)
            self._changed.notify_all()
        if instance is not None:
            instance.cancelled.set()
            if instance.home is not None:
                instance.home.end()

    def die_silently(self, key: Key) -> None:
        """Close an instance's port, so that it can't be reached; it still runs as far as the launcher knows."""
        home = self.instances[key].home
        if home is not None:
            home.end()

    def change_template(self, server: str) -> None:
        """Make what runs of a server no longer current."""
        with self._changed:
            self.templates[server] += 1
            self._changed.notify_all()

    def running(self) -> set[Key]:
        """The instances that run."""
        with self._changed:
            return {key for key, each in self.instances.items() if each.state == "running"}

    def listing(self, after: str, listener: _Listener) -> dict[str, Any] | None:
        """`GET /instances`."""
        until = time.monotonic() + HOLD_SECONDS
        with self._changed:
            while self._listener is listener:
                instances = [self.shown(self.instances[key]) for key in sorted(self.instances)]
                data = [{"server": server, "subject": subject} for server, subject in sorted(self.data)]
                version = hashlib.sha256(json.dumps([instances, data]).encode()).hexdigest()
                if version != after:
                    return {"version": version, "instances": instances, "data": data}
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
        raise ConnectionResetError

    def shown(self, instance: DoubleInstance) -> dict[str, Any]:
        """An instance as the launcher tells of it."""
        return {
            "server": instance.key[0],
            "subject": instance.key[1],
            "state": instance.state,
            "url": instance.url if instance.state == "running" else "",
            "startedAt": instance.started_at,
            "revision": instance.revision,
            "templateCurrent": instance.template == self.templates.get(instance.key[0]),
            "reason": "",
        }

    def start(self, body: dict[str, Any]) -> dict[str, Any]:
        """`POST /instances/start`."""
        key = (str(body["server"]), str(body["subject"]))
        if set(body) != {"server", "subject", "values", "revision", "replace", "force"}:
            raise refusal("bad-request", "fields")
        self.starts.append(body)
        with self._turns[key]:
            if key[0] not in self.templates:
                raise refusal("unknown-server", "no such template")
            current = self.instances.get(key)
            if current is not None and current.state == "running":
                differs = current.revision != body["revision"] or current.template != self.templates[key[0]]
                if not (body["replace"] and differs):
                    return self.shown(current)
                self.die(key)
            with self._changed:
                if sum(other[1] == key[1] for other in self.instances) >= self.per_user:
                    raise refusal("limit-user", "too many instances of this user", retry=30)
                template = self.templates[key[0]]
                made = DoubleInstance(key, "starting", body["revision"], template, dict(body["values"]))
                self.instances[key] = made
                self._changed.notify_all()
            try:
                self._wait(made)
                self._run(made)
            except BaseException:
                with self._changed:
                    if self.instances.get(key) is made:
                        del self.instances[key]
                    self._changed.notify_all()
                raise
            return self.shown(made)

    def _wait(self, made: DoubleInstance) -> None:
        until = time.monotonic() + self.delay
        while not self.hold.wait(0.005) or time.monotonic() < until:
            if made.cancelled.wait(0.005):
                break
        if made.cancelled.is_set():
            raise refusal("start-failed", "it was stopped while it started")
        if failure := self.fail.get(made.key[0]):
            raise Refusal(failure.answer)

    def _run(self, made: DoubleInstance) -> None:
        digests = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in made.values.items()}
        told = {"server": made.key[0], "subject": made.key[1], "values": digests}
        if self.serve:
            made.home = Home(told)
            made.url = f"http://127.0.0.1:{made.home.server_address[1]}/mcp"
        else:
            number = next(self._addresses)
            made.url = f"http://10.201.{128 + number // 32}.{number % 32 * 8 + 2}:8080/mcp"
        with self._changed:
            # Never twice the same, so that a test can tell one instance from the next.
            made.started_at = time.time() + next(self._moments) / 1e6
            made.state = "running"
            self.launched[made.key] += 1
            if made.key[0] in self.volumes:
                self.data.add(made.key)
            self._changed.notify_all()

    def stop(self, key: Key, *, with_data: bool = False) -> None:
        """`POST /instances/stop` and `DELETE /instances/data`."""
        self.stops.append(key)
        with self._changed:
            if instance := self.instances.get(key):
                instance.cancelled.set()
        with self._turns[key]:
            with self._changed:
                if instance := self.instances.get(key):
                    instance.state = "stopping"
                    self._changed.notify_all()
            self.hold_stops.wait()
            self.die(key)
            if with_data:
                with self._changed:
                    self.data.discard(key)
                    self._changed.notify_all()


class _Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, path: str, double: LauncherDouble) -> None:
        self.double = double
        self.open: set[socket.socket] = set()
        super().__init__(path, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no fault."""

    def cut(self) -> None:
        for each in list(self.open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def address_string(self) -> str:
        return "control"

    def log_message(self, format: str, *arguments: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.close_connection = True
        double, parts = self.server.double, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            match f"{self.command} {parts.path}":
                case "POST /instances/start":
                    self._send(200, {"instance": double.start(self._body())})
                case "POST /instances/stop":
                    body = self._body()
                    double.stop((body["server"], body["subject"]))
                    self._send(204, None)
                case "GET /instances":
                    found = double.listing(query.get("after", ""), self.server)
                    self._send(200 if found else 204, found)
                case "GET /instances/log":
                    lines = double.log.get((query["server"], query["subject"]), [])[-int(query["lines"]) :]
                    self._stream("text/plain", "".join(f"{line}\n" for line in lines).encode())
                case "GET /instances/data":
                    self._stream("application/x-tar", _tar(f"{query['server']} of {query['subject']}\n".encode()))
                case "DELETE /instances/data":
                    double.stop((query["server"], query["subject"]), with_data=True)
                    self._send(204, None)
                case "GET /instances/usage":
                    takes = {"memoryBytes": 1 << 20, "processes": 3}
                    each = [{"server": key[0], "subject": key[1], **takes} for key in double.running()]
                    self._send(200, {"usage": each})
                case _:
                    self._send(404, {"error": "not-found", "message": "", "retrySeconds": None, "log": []})
        except Refusal as error:
            self._send(STATUSES[error.answer["error"]], error.answer)
        except OSError:
            return

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _send(self, status: int, content: dict[str, Any] | None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Connection", "close")
            if content is not None:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _stream(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        # In small pieces: what is read from a stream may break a line, or a character, anywhere.
        for at in range(0, len(content), 7):
            part = content[at : at + 7]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")


def _tar(content: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("content.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return target.getvalue()
