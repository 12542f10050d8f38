"""The interface for the control side: HTTP on a Unix socket (docs/contracts.md, section 8)."""

import contextlib
import json
import os
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from mcp_launcher import asked
from mcp_launcher.failure import Failure
from mcp_launcher.frames import texts
from mcp_launcher.instances import Instances
from mcp_launcher.log import write
from mcp_launcher.reading import Reading
from mcp_launcher.transport import EngineError

SOCKET = Path("/run/launcher/launcher.sock")
CONTROL_UID = 10_001
MOST_CONNECTIONS = 104
MOST_STARTS = 72
"""Starts wait for their turn, each in a thread: others must still be heard."""
MOST_STREAMS = 20
REQUEST_SECONDS = 10.0
STREAM_SECONDS = 60.0
_PART = 65_536


class Interface(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens; one thread for each connection, one request on each."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path, instances: Instances, reading: Reading, *, peers: frozenset[int]) -> None:
        self.instances = instances
        self.reading = reading
        self._peers = peers
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.rooms = {
            "start": threading.BoundedSemaphore(MOST_STARTS),
            "stream": threading.BoundedSemaphore(MOST_STREAMS),
        }
        path.unlink(missing_ok=True)
        # The file's mode is right from its first moment on.
        before = os.umask(0o117)
        try:
            super().__init__(str(path), Handler)
        finally:
            os.umask(before)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let in the control side alone, and no more connections than there is room for."""
        uid = peer_uid(request)
        if uid not in self._peers:
            write("warning", "a stranger was refused", uid=uid)
            return False
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread of its own; wait while there are too many."""
        self._room.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle a connection and give its room back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of ours; what else fails was answered and logged."""


class Handler(BaseHTTPRequestHandler):
    """One connection with one request."""

    protocol_version = "HTTP/1.1"
    server_version = "mcp-launcher"
    sys_version = ""
    timeout = REQUEST_SECONDS
    server: Interface

    def address_string(self) -> str:
        """A Unix socket's client has no address."""
        return "control"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a request's line can hold what it likes."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer(
            {
                "/instances": self._list,
                "/instances/log": self._log,
                "/instances/data": self._data,
                "/instances/usage": self._usage,
            }
        )

    def do_POST(self) -> None:
        """Answer a POST."""
        self._answer({"/instances/start": self._start, "/instances/stop": self._stop})

    def do_DELETE(self) -> None:
        """Answer a DELETE."""
        self._answer({"/instances/data": self._delete_data})

    def _answer(self, known: dict[str, Callable[[str], None]]) -> None:
        self.close_connection = True
        path, _, query = self.path.partition("?")
        self._begun = False
        try:
            action = known.get(path)
            if action is None or "#" in query:
                self._send(404, {"error": "not-found", "message": "there is no such request here"})
                return
            action(query)
        except Failure as failure:
            self._fail(failure)
        except EngineError as error:
            self._fail(Failure("engine", str(error), retry_seconds=1))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return
        except Exception as error:  # the last line of defence: an answer instead of a dead thread
            write("error", "a request failed", kind=type(error).__name__, path=path if path in known else "")
            self._fail(Failure("engine", "the launcher failed; its log says more", retry_seconds=1))

    def _start(self, query: str) -> None:
        asked.nothing(query)
        wanted = asked.start(self._body())
        with self._room_for("start"):
            found = self.server.instances.start(
                wanted.key, wanted.values, wanted.revision, do_replace=wanted.replace, force=wanted.force
            )
        self._send(200, {"instance": found})

    def _stop(self, query: str) -> None:
        asked.nothing(query)
        self.server.instances.stop(asked.stop(self._body()))
        self._send(204, None)

    def _list(self, query: str) -> None:
        self._no_body()
        found = self.server.instances.listing(asked.listing(query))
        self._send(200 if found else 204, found)

    def _usage(self, query: str) -> None:
        self._no_body()
        asked.nothing(query)
        self._send(200, {"usage": self.server.reading.usage()})

    def _log(self, query: str) -> None:
        self._no_body()
        key, count, follow = asked.log(query)
        with self._room_for("stream"):
            stream = self.server.reading.log(key, count, follow=follow)
            if stream is None:
                last = "".join(f"{line}\n" for line in self.server.instances.last_words(key)[-count:])
                self._stream_head("text/plain; charset=utf-8")
                self._part(last.encode("utf-8", "replace"))
            else:
                with stream:
                    self._stream_head("text/plain; charset=utf-8")
                    for text in texts(self._heeding(stream)):
                        self._part(text)
            self._stream_end()

    def _data(self, query: str) -> None:
        self._no_body()
        key = asked.data(query)
        with self._room_for("stream"):
            with self.server.reading.data(key) as stream:
                self._stream_head("application/x-tar")
                stream.settimeout(STREAM_SECONDS)
                while part := stream.recv(_PART):
                    self._part(part)
            self._stream_end()

    def _delete_data(self, query: str) -> None:
        self._no_body()
        self.server.instances.stop(asked.data(query), with_volume=True)
        self._send(204, None)

    def _body(self) -> bytes:
        if self.headers.get_all("Transfer-Encoding"):
            raise Failure("bad-request", "want a body with a Content-Length")
        lengths = self.headers.get_all("Content-Length") or []
        if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdecimal()) or len(lengths[0]) > 9:
            raise Failure("bad-request", "want one Content-Length, a number")
        length = int(lengths[0])
        if length > asked.LARGEST_BODY:
            raise Failure("bad-request", f"the body is longer than {asked.LARGEST_BODY} bytes")
        content = self.rfile.read(length)
        if len(content) != length:
            raise Failure("bad-request", "the body broke off")
        self.connection.settimeout(STREAM_SECONDS)
        return content

    def _no_body(self) -> None:
        lengths = self.headers.get_all("Content-Length") or []
        if self.headers.get_all("Transfer-Encoding") or any(length != "0" for length in lengths):
            raise Failure("bad-request", "want no body")
        self.connection.settimeout(STREAM_SECONDS)

    @contextlib.contextmanager
    def _room_for(self, kind: str) -> Iterator[None]:
        room = self.server.rooms[kind]
        if not room.acquire(blocking=False):
            raise Failure("engine", f"too many of these are under way ({kind}); try again", retry_seconds=2)
        try:
            yield
        finally:
            room.release()

    def _heeding(self, stream: socket.socket) -> Callable[[int], bytes]:
        """Return a reader that ends when the client has gone: a silent instance would keep the thread for ever."""

        def read(count: int) -> bytes:
            while True:
                readable, _, _ = select.select((stream, self.connection), (), ())
                if stream in readable:
                    return stream.recv(count)
                if self.connection in readable:
                    raise ConnectionResetError

        return read

    def _send(self, status: int, body: dict[str, Any] | None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self._begun = True
        self.send_response(status)
        self.send_header("Connection", "close")
        if body is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _fail(self, failure: Failure) -> None:
        # Once an answer has begun, breaking it off is the only way left to say that it failed.
        if not self._begun:
            with contextlib.suppress(OSError):
                self._send(failure.status, failure.answer)

    def _stream_head(self, kind: str) -> None:
        self._begun = True
        self.send_response(200)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def _part(self, content: bytes) -> None:
        if content:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
            self.wfile.flush()

    def _stream_end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


def peer_uid(connection: socket.socket) -> int:
    """Return the uid of the process that connected, -1 when the kernel doesn't say (unix(7), SO_PEERCRED)."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])
    except OSError:
        return -1
