"""HTTP to the Docker Engine over its Unix socket: sends what the allow-list names, and no more."""

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode

from mcp_launcher import allowlist
from mcp_launcher.allowlist import Request
from mcp_launcher.known import Known
from mcp_launcher.owned import Owned
from mcp_launcher.templates import Templates

OLDEST_API = (1, 41)
REQUEST_SECONDS = 60.0
"""An engine that starts many containers at once is slow to answer."""
_HEAD_BYTES = 65_536


class EngineError(Exception):
    """The engine can't be reached or has refused a request; the message says why. `status` is its answer's."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket; `timeout` in seconds."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Transport:
    """The way to the engine that all threads share, with what its own labels have shown so far."""

    def __init__(self, socket_path: str, stack: str) -> None:
        self._socket_path = socket_path
        self.stack = stack
        self._version = ""
        self._lock = threading.Lock()
        self._seen = Known()
        self._before: Mapping[str, Owned] = {}
        self._made: dict[str, dict[str, Owned]] = {"owned": {}, "networks": {}, "volumes": {}}
        self._templates: Templates | None = None

    @property
    def known(self) -> Known:
        """What there is: the last look, and what was made and removed since."""
        with self._lock:
            return replace(
                self._seen,
                server_networks=self._seen.server_networks | self._made["networks"].keys(),
                owned={**self._seen.owned, **self._made["owned"]},
                networks={**self._seen.networks, **self._made["networks"]},
                volumes={**self._seen.volumes, **self._made["volumes"]},
                templates=self._templates,
            )

    def _check(self, request: Request) -> None:
        known = self.known
        with self._lock:
            # What a thread has just listed may be gone from the newest look; that it was an instance's stays true.
            known = replace(known, owned={**self._before, **known.owned})
        allowlist.check(request, known, self.stack)

    def saw(self, known: Known) -> None:
        """Put a look at the engine in force."""
        with self._lock:
            self._before, self._seen = self._seen.owned, known
            shown = {"owned": known.owned, "networks": known.networks, "volumes": known.volumes}
            for kind, things in shown.items():
                self._made[kind] = {key: value for key, value in self._made[kind].items() if key not in things}

    def made(self, kind: str, thing: Owned) -> None:
        """Note what was created: `kind` is `owned` (containers), `networks` or `volumes`."""
        with self._lock:
            self._made[kind][thing.id] = thing

    def removed(self, kind: str, identity: str) -> None:
        """Forget what was removed."""
        with self._lock:
            gone = self._made[kind].pop(identity, None)
            if kind == "owned" and (thing := self._seen.owned.get(identity, gone)) is not None:
                self._before = {**self._before, identity: thing}
            shown = {"owned": self._seen.owned, "networks": self._seen.networks, "volumes": self._seen.volumes}
            left = {key: value for key, value in shown[kind].items() if key != identity}
            match kind:
                case "owned":
                    self._seen = replace(self._seen, owned=left)
                case "networks":
                    self._seen = replace(self._seen, networks=left)
                case _:
                    self._seen = replace(self._seen, volumes=left)

    def follow_templates(self, templates: Templates | None) -> None:
        """Put templates in force: from now on only what they say can be created."""
        with self._lock:
            self._templates = templates

    def get(self, path: str, **query: str) -> Any:
        """Return an answer's JSON, None for what the engine doesn't have (404)."""
        return self.exchange(Request(method="GET", path=path, query=query))

    def exchange(self, request: Request, timeout: float = REQUEST_SECONDS) -> Any:
        """Send and return the answer's JSON; None when there is none, and for what the engine doesn't have (404).

        Raises:
            EngineError: it can't be reached, or refused.
        """
        response = self.open(request, timeout)
        try:
            content = response.read()
        except (OSError, HTTPException) as error:
            raise EngineError(f"{request.method} {request.path}: the engine's answer broke off: {error}") from error
        finally:
            response.close()
        return json.loads(content) if content and response.status in (200, 201) else None

    def open(self, request: Request, timeout: float = REQUEST_SECONDS) -> HTTPResponse:
        """Send and return the answer, to be read and closed by the caller. A status of 404 is no error."""
        self._check(request)
        response = self._send(request.method, self._target(request), request, timeout)
        if response.status >= 400 and response.status != 404:
            reason = _reason(response)
            response.close()
            message = f"{request.method} {request.path}: the engine answered {response.status}: {reason}"
            raise EngineError(message, response.status)
        return response

    def stream(self, request: Request, *, attach: bool = False, timeout: float = REQUEST_SECONDS) -> socket.socket:
        """Send and return the connection, from which the answer's body comes as it is, until its end.

        With `attach` it takes what is written to it too.

        Raises:
            EngineError: it can't be reached, or refused; also with status 404.
        """
        connection = self.send(request, attach=attach, timeout=timeout)
        self.answered(connection, request)
        return connection

    def send(self, request: Request, *, attach: bool = False, timeout: float = REQUEST_SECONDS) -> socket.socket:
        """Send, and return the connection before there is an answer."""
        self._check(request)
        # HTTP/1.0 has no chunks: the body is what follows the head.
        version, upgrade = ("1.1", "Connection: Upgrade\r\nUpgrade: tcp\r\n") if attach else ("1.0", "")
        length = "" if request.method == "GET" else "Content-Length: 0\r\n"
        head = f"{request.method} {self._target(request)} HTTP/{version}\r\nHost: docker\r\n{length}{upgrade}\r\n"
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(self._socket_path)
            connection.sendall(head.encode("ascii"))
        except OSError as error:
            connection.close()
            raise EngineError(f"the engine at {self._socket_path} can't be reached: {error}") from error
        return connection

    def answered(self, connection: socket.socket, request: Request) -> None:
        """Wait for the answer to what was sent; its body is still to be read. Closes the connection when it raises."""
        try:
            status = _status(_head(connection))
        except OSError as error:
            connection.close()
            raise EngineError(f"{request.method} {request.path}: the engine's answer broke off: {error}") from error
        if status not in (101, 200):
            connection.close()
            raise EngineError(f"{request.method} {request.path}: the engine answered {status}", status)

    def _target(self, request: Request) -> str:
        if not self._version:
            self._version = self._negotiate()
        return f"/v{self._version}{request.path}" + (f"?{urlencode(request.query)}" if request.query else "")

    def _negotiate(self) -> str:
        ping = Request(method="GET", path="/_ping")
        self._check(ping)
        response = self._send("GET", "/_ping", ping, REQUEST_SECONDS)
        version = response.headers.get("Api-Version", "")
        response.close()
        numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
        if numbers < OLDEST_API:
            wanted = ".".join(map(str, OLDEST_API))
            raise EngineError(
                f"the engine speaks API {version or 'of an unknown version'}; this needs {wanted} or later"
            )
        return version

    def _send(self, method: str, target: str, request: Request, timeout: float) -> HTTPResponse:
        connection = UnixConnection(self._socket_path, timeout)
        content, headers = _content(request)
        try:
            connection.request(method, target, content, headers)
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise EngineError(f"the engine at {self._socket_path} can't be reached: {error}") from error


def _head(stream: socket.socket) -> bytes:
    head = b""
    # Byte by byte, because what follows the head is the caller's.
    while not head.endswith(b"\r\n\r\n") and len(head) < _HEAD_BYTES:
        byte = stream.recv(1)
        if not byte:
            break
        head += byte
    return head


def _status(head: bytes) -> int:
    words = head.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _content(request: Request) -> tuple[bytes | None, Mapping[str, str]]:
    headers = {"Host": "docker", "Connection": "close"}
    if request.content is not None:
        return request.content, headers | {"Content-Type": "application/x-tar"}
    if request.body is not None:
        return json.dumps(request.body).encode(), headers | {"Content-Type": "application/json"}
    return None, headers


def _reason(response: HTTPResponse) -> str:
    try:
        return str(json.loads(response.read()).get("message", ""))[:500]
    except (OSError, HTTPException, ValueError, AttributeError):
        return response.reason
