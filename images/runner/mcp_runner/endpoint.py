"""Streamable HTTP in both eras, over the children of a `Host`.

Legacy (to 2025-11-25): `Mcp-Session-Id`, GET stream, DELETE. Streams aren't resumable: a `Last-Event-ID` opens a fresh
stream. Modern (2026-07-28): each POST stands alone, GET and DELETE are 405, and closing a response cancels its request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any

from mcp_wire.exchange import Exchange
from mcp_wire.request import Request
from mcp_wire.response import header_block

from mcp_runner import messages
from mcp_runner.eras import (
    LEGACY_VERSIONS,
    LOG_LEVEL_KEY,
    MODERN_VERSIONS,
    VERSION_KEY,
    check_modern,
    discovery,
    envelope,
    error_status,
    legacy_answer,
    legacy_request,
    modern_result,
    unsupported,
)
from mcp_runner.host import Host, HostError, Peer, Session
from mcp_runner.link import Party
from mcp_runner.log import log
from mcp_runner.messages import Message, MessageError, encode, error, parse_body
from mcp_runner.reply import JSON_HEADERS, Reply

KEEP_ALIVE_SECONDS = 15.0
_MODERN = frozenset(version.encode() for version in MODERN_VERSIONS)
_LEGACY = frozenset(version.encode() for version in LEGACY_VERSIONS)
_SINGLE = (
    b"mcp-session-id",
    b"mcp-protocol-version",
    b"mcp-method",
    b"mcp-name",
    b"accept",
    b"x-mcp-user",
    b"x-mcp-client",
)


@lru_cache(256)
def _accepted(value: bytes) -> tuple[bool, bool]:
    """Return whether an Accept header takes JSON, and event streams."""
    types = {part.partition(b";")[0].strip().lower() for part in value.split(b",")}
    everything = b"*/*" in types
    return (
        everything or b"application/json" in types or b"application/*" in types,
        everything or b"text/event-stream" in types or b"text/*" in types,
    )


class Endpoint:
    """Handles every request to the runner."""

    def __init__(self, host: Host):
        self._host = host
        self._time = asyncio.get_running_loop().time
        self._tasks: set[asyncio.Task[None]] = set()

    def on_head(self, request: Request, exchange: Exchange) -> None:
        """Answer what needs no body, before it is read."""
        if request.path == b"/healthz":
            if request.method not in ("GET", "HEAD"):
                exchange.respond(405, [(b"allow", b"GET, HEAD")])
            elif self._host.ready:
                exchange.respond(200, JSON_HEADERS, b'{"status":"ok"}')
            else:
                exchange.respond(503, JSON_HEADERS, b'{"status":"starting"}')
        elif request.path != b"/mcp":
            exchange.respond(404)
        elif request.method not in ("POST", "GET", "DELETE"):
            exchange.respond(405, [(b"allow", b"POST, GET, DELETE")])
        elif request.has_repeated_headers and any(len(request.get_all(name)) > 1 for name in _SINGLE):
            self._refuse(exchange, 400, messages.HEADER_MISMATCH, "a header came twice that may come once")

    def on_request(self, request: Request, exchange: Exchange) -> None:
        """Serve one request to the endpoint."""
        if request.method == "POST":
            self._post(request, exchange)
            return
        if request.get(b"mcp-protocol-version") in _MODERN:
            exchange.respond(405, [(b"allow", b"POST")])
            return
        session = self._session(request, exchange, None)
        if session is None:
            return
        if request.method == "DELETE":
            self._host.end_session(session, "deleted by the client")
            exchange.respond(200)
        elif not _accepted(request.get(b"accept") or b"")[1]:
            self._refuse(exchange, 406, messages.INVALID_REQUEST, "Accept must include text/event-stream")
        elif session.party.stream is not None and session.party.stream.open:
            self._refuse(exchange, 409, messages.INVALID_REQUEST, "this session has a stream open already")
        else:
            stream = Reply(exchange, events=True, born=self._time())
            session.link.watch(stream)
            session.party.attach(stream)

    def _post(self, request: Request, exchange: Exchange) -> None:
        kind = request.get(b"content-type") or b""
        if kind != b"application/json" and kind.partition(b";")[0].strip().lower() != b"application/json":
            self._refuse(exchange, 415, messages.INVALID_REQUEST, "Content-Type must be application/json")
            return
        takes_json, takes_events = _accepted(request.get(b"accept") or b"")
        if not takes_json:
            self._refuse(
                exchange, 406, messages.INVALID_REQUEST, "Accept must include application/json and text/event-stream"
            )
            return
        try:
            message = parse_body(request.body)
        except MessageError as problem:
            self._refuse(exchange, 400, problem.code, str(problem))
            return
        version = request.get(b"mcp-protocol-version")
        try:
            if version in _MODERN or (version not in _LEGACY and _enveloped(message)):
                self._modern(request, exchange, message, version, takes_events)
            else:
                self._legacy(request, exchange, message, version, takes_events)
        except (UnicodeEncodeError, RecursionError):
            self._refuse(exchange, 400, messages.PARSE_ERROR, "the body holds half a surrogate or is nested too deeply")

    # Legacy era.

    def _legacy(
        self, request: Request, exchange: Exchange, message: Message, version: bytes | None, takes_events: bool
    ) -> None:
        method, id = message.get("method"), message.get("id")
        if method == "initialize" and id is not None and request.get(b"mcp-session-id") is None:
            self._run(self._open(exchange, message, _owner(request)))
            return
        if version is not None and version not in _LEGACY:
            exchange.respond(400, JSON_HEADERS, encode(unsupported(id, version.decode("latin-1"))))
            return
        session = self._session(request, exchange, id)
        if session is None:
            return
        session.touched = now = self._time()
        if method is None:
            if session.translated is None:
                session.link.answer(session.party, message)
            exchange.respond(202)
        elif id is None:
            if self._host.config.shared and method == "notifications/initialized":
                pass  # the runner has said so itself, once
            elif session.translated is None or method == "notifications/cancelled":
                session.link.notify(session.party, message)
            exchange.respond(202)
        else:
            reply = Reply(exchange, events=takes_events, born=now)
            if session.translated is None:
                session.link.request(session.party, message, reply)
            elif method == "ping":
                reply.finish(encode({"jsonrpc": "2.0", "id": id, "result": {}}))
            else:
                message["params"] = envelope(message.get("params"), *session.translated)
                session.link.request(session.party, message, reply, legacy_answer)

    async def _open(self, exchange: Exchange, message: Message, owner: tuple[bytes | None, bytes | None]) -> None:
        try:
            session, answer = await self._host.open_session(message, owner)
        except HostError as problem:
            self._refuse(exchange, problem.status, messages.SERVER_GONE, str(problem), message["id"])
            return
        if session is None:
            exchange.respond(200, JSON_HEADERS, encode(answer))
        elif not exchange.open:
            self._host.end_session(session, "the client left while it opened")
        else:
            named = [(b"content-type", b"application/json"), (b"mcp-session-id", session.id.encode())]
            exchange.respond(200, header_block(named), encode(answer))

    def _session(self, request: Request, exchange: Exchange, id: Any) -> Session | None:
        name = request.get(b"mcp-session-id")
        if name is None:
            self._refuse(exchange, 400, messages.INVALID_REQUEST, "the Mcp-Session-Id header is missing", id)
            return None
        session = self._host.sessions.get(name)
        if session is None or session.owner != _owner(request):
            self._refuse(
                exchange, 404, messages.UNKNOWN_SESSION, "the session has ended or never was; initialize anew", id
            )
            return None
        return session

    # Modern era.

    def _modern(
        self, request: Request, exchange: Exchange, message: Message, version: bytes | None, takes_events: bool
    ) -> None:
        if "method" not in message:
            self._refuse(exchange, 400, messages.INVALID_REQUEST, "a response can't be posted in this version")
            return
        if "id" not in message:
            exchange.respond(
                202
            )  # the era knows no client's notification over HTTP: cancelling is closing the response
            return
        problem = check_modern(message, version, request.get(b"mcp-method"), request.get(b"mcp-name"))
        if problem is not None:
            exchange.respond(error_status(problem), JSON_HEADERS, encode(problem))
            return
        reply = Reply(exchange, events=takes_events, born=self._time())
        owner = _owner(request)
        peer = self._host.peers.get(owner)
        if peer is not None and peer.link.child.alive:
            self._forward(peer, exchange, message, reply)
        else:
            self._run(self._find(owner, exchange, message, reply))

    async def _find(
        self, owner: tuple[bytes | None, bytes | None], exchange: Exchange, message: Message, reply: Reply
    ) -> None:
        try:
            peer = await self._host.peer(owner)
        except HostError as problem:
            self._refuse(exchange, problem.status, messages.SERVER_GONE, str(problem), message["id"])
            return
        self._forward(peer, exchange, message, reply)

    def _forward(self, peer: Peer, exchange: Exchange, message: Message, reply: Reply) -> None:
        peer.touched = self._time()
        link, method, shape = peer.link, message["method"], None
        if not exchange.open:
            return
        wants_log = peer.modern or LOG_LEVEL_KEY in message["params"]["_meta"]
        if not peer.modern:
            info = peer.facts.get("serverInfo")
            if method == "server/discover":
                answer = {"jsonrpc": "2.0", "id": message["id"], "result": discovery(peer.facts)}
                reply.finish(encode(answer))
                return
            if method in _NOT_MODERN:
                answer = error(message["id"], messages.METHOD_NOT_FOUND, f"{method} isn't served")
                reply.finish(encode(answer), 404)
                return
            message = legacy_request(message)

            def shape(answer: Message) -> Message:
                result = answer.get("result")
                return {**answer, "result": modern_result(method, result, info)} if isinstance(result, dict) else answer

        number = link.request(Party(modern=True, wants_log=wants_log), message, reply, shape)
        if number:
            exchange.on_disconnect = lambda: link.cancel(number)

    # Both.

    def keep_alive(self) -> None:
        """Write to every connection that has been silent for long, so that nobody in between closes it."""
        oldest = self._time() - KEEP_ALIVE_SECONDS
        for reply in self._host.replies():
            if reply.born < oldest:
                reply.keep_alive()

    def close_streams(self) -> None:
        """End the sessions' own streams; answers under way go on."""
        for session in self._host.sessions.values():
            if session.party.stream is not None:
                session.party.stream.close()

    def _refuse(self, exchange: Exchange, status: int, code: int, text: str, id: Any = None) -> None:
        exchange.respond(status, JSON_HEADERS, encode(error(id, code, text)))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log("error", f"a request failed: {type(failure).__name__}: {failure}")


_NOT_MODERN = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "subscriptions/listen"}
)


def _enveloped(message: Message) -> bool:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return isinstance(meta, dict) and VERSION_KEY in meta and message.get("method") != "initialize"


def _owner(request: Request) -> tuple[bytes | None, bytes | None]:
    return request.get(b"x-mcp-user"), request.get(b"x-mcp-client")
