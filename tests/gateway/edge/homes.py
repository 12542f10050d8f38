"""Users' instances as real servers on loopback that tell whose they are, and die as containers do."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.gateway.edge.edge_world import Behaviour, Reply, Seen, World, _Handler, answer, server_entry
from tests.gateway.edge.fleet import Key, StartAnswer, refuse

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
PAY = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay"}}
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
ALICE, BOB = ("memory", "sub-alice"), ("memory", "sub-bob")
OTHERS = ("files", "sub-alice")


class Home(ThreadingHTTPServer):
    """One instance. Its answers carry its key; `initialize` gives a session, which only this instance knows."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, key: Key, port: int = 0):
        self.key = key
        self.requests: list[Seen] = []
        self.behaviour: Behaviour = self.tell
        self.ended = 0
        self._sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mcp"

    def tell(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        message = json.loads(seen.body) if seen.body else {}
        if "id" not in message:
            answer(handler, 202 if seen.method == "POST" else 200, b"")
            return
        result = {"home": list(self.key), "headers": seen.headers, "session": seen.get("mcp-session-id")}
        headers = {"Content-Type": "application/json"}
        if message["method"] == "initialize":
            headers["Mcp-Session-Id"] = f"session-of-{self.key[1]}-{id(self)}"
        answer(handler, 200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode(), headers)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.ended += 1
        super().shutdown_request(request)

    def die(self) -> None:
        """Close the port and cut every connection."""
        self.shutdown()
        self.server_close()
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Homes:
    """All instances of a test, and the control side that starts them."""

    def __init__(self, world: World):
        self.world = world
        self.fleet = world.fleet
        self.all: list[Home] = []

    def open(self, key: Key, port: int = 0) -> Home:
        home = Home(key, port)
        self.all.append(home)
        return home

    def warm(self, *keys: Key) -> list[Home]:
        """Open an instance for each key and put them, and no others, into the table."""
        homes = [self.open(key) for key in keys]
        self.fleet.publish({home.key: home.url for home in homes})
        return homes

    def launch(self, request: dict[str, Any]) -> StartAnswer:
        """Start an instance as the control side does: in the table first, then the answer."""
        home = self.open((request["server"], request["subject"]))
        self.fleet.announce(home.key, home.url)
        return 200, {"url": home.url}

    def of(self, key: Key) -> list[Home]:
        return [home for home in self.all if home.key == key]

    def call(self, message: Any = PING, subject: str = "sub-alice", server: str = "memory", **more: Any) -> Reply:
        return self.world.call(message, server, subject=subject, **more)

    def session(self, subject: str = "sub-alice", server: str = "memory") -> dict[str, str]:
        reply = self.call(INITIALIZE, subject, server)
        return {"Mcp-Session-Id": reply.headers["Mcp-Session-Id"]}


def single(identifier: str, subjects: list[str], **changes: Any) -> dict[str, Any]:
    return server_entry(identifier, "", subjects, kind="singleUser", upstream=None, **changes)


def both(document: dict[str, Any]) -> None:
    """Gives alice and bob a server `memory`, and alice a server `files` too."""
    document["servers"] += [single("memory", ["sub-alice", "sub-bob"]), single("files", ["sub-alice"])]


@contextlib.contextmanager
def homes_in(world: World) -> Iterator[Homes]:
    homes = Homes(world)
    world.publish(both)
    try:
        yield homes
    finally:
        world.fleet.start = refuse
        # Twice: what a start told of stands until a table that was asked for later.
        world.fleet.publish({})
        world.fleet.publish({})
        world.fleet.starts.clear()
        world.fleet.reports.clear()
        for home in homes.all:
            with contextlib.suppress(OSError):
                home.die()


def at_once(count: int, call: Callable[[int], Reply]) -> list[Reply]:
    """The replies to calls that are made at the same time."""
    replies: list[Reply | None] = [None] * count

    def one(number: int) -> None:
        replies[number] = call(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [reply for reply in replies if reply is not None]


def in_background(call: Callable[[], Reply]) -> tuple[threading.Thread, list[Reply]]:
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(call()))
    thread.start()
    return thread, replies
