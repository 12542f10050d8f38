"""A real edge in a process of its own, between a control side's socket and upstreams that record what reaches them."""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.gateway.edge.fleet import Fleet

ROOT = Path(__file__).parents[3]
ISSUER = "http://gateway.test:8765"
HOST = "gateway.test:8765"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """A P-256 key that signs what it is told to."""

    def __init__(self, kid: str = "k1"):
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": x, "y": y, "alg": "ES256", "use": "sig"}

    def sign(self, header: Any, claims: Any) -> str:
        signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@dataclass
class Seen:
    """One request as an upstream or the control side got it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


Behaviour = Callable[[BaseHTTPRequestHandler, Seen], None]


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response_only(status)
    for name, value in (headers or {"Content-Type": "application/json"}).items():
        handler.send_header(name, value)
    if status not in (204, 304):
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def echo(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    """Answers as an MCP server would: a result that tells what arrived, or 202 for what needs no answer."""
    message = json.loads(seen.body) if seen.body else {}
    if seen.method != "POST" or "id" not in message or "method" not in message:
        answer(handler, 202 if seen.method == "POST" else 200, b"")
        return
    result = {"headers": seen.headers, "body": seen.body.decode()}
    answer(handler, 200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())


class _Recorder(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.behaviour: Behaviour = echo
        self.gone = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, list(self.headers.items()), body)
        self.server.requests.append(seen)  # type: ignore[attr-defined]
        self.server.behaviour(self, seen)  # type: ignore[attr-defined]

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = do_PATCH = do_OPTIONS = _serve

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def address_string(self) -> str:
        return "peer"


class _Control(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The control side's socket: the edge document by long poll, and a record of everything else."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: str, document: dict[str, Any]):
        self.requests: list[Seen] = []
        self.behaviour: Behaviour = lambda handler, seen: answer(handler, 200, b'{"control": true}')
        self.document = document
        self.changed = threading.Condition()
        self.asked_after: list[str] = []
        self.fleet = Fleet()
        super().__init__(path, _ControlHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _ControlHandler(_Handler):
    server: _Control

    def _serve(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/internal/instances"):
            self.server.fleet.serve(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            return
        if url.path != "/internal/edge":
            super()._serve()
            return
        after = parse_qs(url.query, keep_blank_values=True)["after"][0]
        control = self.server
        with control.changed:
            control.asked_after.append(after)
            control.changed.notify_all()
            control.changed.wait_for(lambda: control.document["version"] != after, timeout=20)
            body = json.dumps(control.document).encode()
        answer(self, 200, body)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = do_PATCH = do_OPTIONS = _serve


@dataclass
class Reply:
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class World:
    """One edge, its control side, two upstreams, two users and the servers time, notes (alice's) and shop (a tool)."""

    folder: Path
    signer: Signer
    control: _Control
    upstream: _Recorder
    other: _Recorder
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    arguments: list[str] = field(default_factory=list)

    @property
    def fleet(self) -> Fleet:
        return self.control.fleet

    @property
    def document(self) -> dict[str, Any]:
        return self.control.document

    def server(self, identifier: str) -> dict[str, Any]:
        return next(server for server in self.document["servers"] if server["id"] == identifier)

    def publish(self, change: Callable[[dict[str, Any]], object], *, valid: bool = True) -> None:
        """Change the document and wait until the edge has asked for what comes after it."""
        with self.control.changed:
            new = copy.deepcopy(self.document)
            change(new)
            new["version"] = uuid.uuid4().hex
            self.control.document = new
            self.control.changed.notify_all()
            assert self.control.changed.wait_for(lambda: new["version"] in self.control.asked_after, timeout=10)

    def claims(self, server: str = "time", subject: str = "sub-alice", **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": f"{ISSUER}/mcp-connect/{server}",
            "sub": subject,
            "client_id": "client-1",
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "scope": "mcp",
            "fam": "f",
        }
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, server: str = "time", subject: str = "sub-alice", **changes: Any) -> str:
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.signer.kid}
        return self.signer.sign(header, self.claims(server, subject, **changes))

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        *,
        host: str | None = HOST,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if host is not None:
                connection.putheader("Host", host)
            for name, value in headers.items() if isinstance(headers, dict) else headers or []:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def call(
        self,
        message: Any,
        server: str = "time",
        *,
        token: str | None = None,
        subject: str = "sub-alice",
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> Reply:
        """A call with a good token, unless another is given; `message` as an object, or as the bytes themselves."""
        body = message if isinstance(message, bytes) or message is None else json.dumps(message).encode()
        given = {
            "Authorization": f"Bearer {token or self.token(server, subject)}",
            "Accept": "application/json, text/event-stream",
        }
        if method == "POST":
            given["Content-Type"] = "application/json"
        return self.request(method, f"/mcp-connect/{server}", body, {**given, **(headers or {})})

    def raw(self, data: bytes, seconds: float = 5.0) -> bytes:
        """Send bytes as they are; everything that comes back until the edge closes or falls silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(data)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while part := connection.recv(65536):
                    received += part
            return received

    def audit(self, expected: int = 1, since: int = 0) -> list[dict[str, Any]]:
        """The audit records from number `since` on, once there are `expected` of them."""
        records: list[dict[str, Any]] = []
        for _ in range(100):
            files = sorted((self.folder / "audit").glob("audit-*.jsonl"))
            records = [json.loads(line) for file in files for line in file.read_bytes().splitlines()][since:]
            if len(records) >= expected:
                return records
            time.sleep(0.05)
        raise AssertionError(f"{len(records)} audit records of {expected}")

    def audited(self) -> int:
        time.sleep(0.3)
        return len(self.audit(0))

    def start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        paths = os.pathsep.join(str(ROOT / "images" / part) for part in ("gateway", "wire"))
        command = [sys.executable, "-m", "mcp_gateway", "edge", "--listen", f"127.0.0.1:{self.port}"]
        command += ["--control", f"unix:{self.folder}/control.sock", "--audit", str(self.folder / "audit")]
        with (self.folder / "edge.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments], env={**os.environ, "PYTHONPATH": paths}, stderr=log, stdout=log
            )
        for _ in range(500):
            with contextlib.suppress(OSError):
                if self.request("GET", "/healthz").status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "edge.log").read_text())

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(30)

    @property
    def log(self) -> str:
        return (self.folder / "edge.log").read_text()


def server_entry(identifier: str, url: str, subjects: list[str], **changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": identifier,
        "kind": "multiUser",
        "path": f"/mcp-connect/{identifier}",
        "resource": f"{ISSUER}/mcp-connect/{identifier}",
        "resourceMetadata": f"{ISSUER}/.well-known/oauth-protected-resource/mcp-connect/{identifier}",
        "scope": "mcp",
        "upstream": {"url": url, "reach": "private", "headers": {}, "caFile": None},
        "userHeaders": {},
        "missing": {},
        "subjects": subjects,
        "tools": {"allowed": None},
        "limits": {"requestBytes": 1_000_000, "callsPerMinute": 1_000_000, "answerSeconds": 30},
    }
    entry.update(changes)
    return entry


def first_document(signer: Signer, upstream: str, other: str) -> dict[str, Any]:
    both = ["sub-alice", "sub-bob"]
    return {
        "version": "1",
        "issuer": ISSUER,
        "jwks": {"keys": [signer.jwk()]},
        "allowedHosts": [HOST],
        "allowedOrigins": [ISSUER],
        "sessionKey": b64(os.urandom(32)),
        "revokedTokens": {},
        "revokedBefore": {},
        "subjects": {"sub-alice": {"login": "alice"}, "sub-bob": {"login": "bob"}},
        "servers": [
            server_entry("time", upstream, both),
            server_entry("notes", other, ["sub-alice"]),
            server_entry("shop", upstream, both, tools={"allowed": ["buy"]}),
        ],
    }


@contextlib.contextmanager
def new_world(folder: Path, *arguments: str, before: Callable[[World], None] = lambda world: None) -> Iterator[World]:
    """A world of its own; `before` may change it before the edge starts."""
    (folder / "audit").mkdir()
    signer, upstream, other = Signer(), _Recorder(), _Recorder()
    control = _Control(f"{folder}/control.sock", first_document(signer, upstream.url, other.url))
    world = World(folder, signer, control, upstream, other, arguments=list(arguments))
    before(world)
    try:
        world.start()
        yield world
    finally:
        if world.process is not None:
            world.process.kill()
            world.process.wait()
        for part in (upstream, other, control):
            part.shutdown()
            part.server_close()
