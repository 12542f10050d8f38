"""One call of a user to a server: the request that the server gets, and the answer that the client gets."""

from __future__ import annotations

import dataclasses
import logging
import time

from mcp_wire.exchange import Exchange
from mcp_wire.http_client import UpstreamError, request_head
from mcp_wire.request import Request
from mcp_wire.response import HeaderBlock, Headers, header_block

from mcp_gateway.edge import answers, sessions
from mcp_gateway.edge.answers import Answer, http_error, rpc_error
from mcp_gateway.edge.audit import Audit, Record
from mcp_gateway.edge.document import Route, Upstream
from mcp_gateway.edge.headers import connection_named, to_client, to_server
from mcp_gateway.edge.listing import EventListing, JsonListing
from mcp_gateway.edge.messages import REPEATABLE, Message
from mcp_gateway.edge.relay import Relay, Wire
from mcp_gateway.edge.tokens import Token

logger = logging.getLogger(__name__)

_EVENT_STREAM = b"text/event-stream"
_MAX_BLOCKS = 512


class Caller:
    """Who calls what, as it was found when the request's head was judged."""

    __slots__ = ("began", "cors", "modern", "prefix", "route", "session", "started", "token", "upstream")

    def __init__(self, route: Route, token: Token, *, modern: bool, cors: answers.Headers):
        self.route = route
        self.token = token
        self.modern = modern
        self.cors = cors
        self.session: bytes | None = None
        self.prefix = b""
        self.upstream: Upstream | None = None
        self.started = time.time()
        self.began = time.perf_counter()

    def again(self) -> Caller:
        """The same caller with a further call, whose head is the same."""
        caller = Caller(self.route, self.token, modern=self.modern, cors=self.cors)
        caller.session = self.session
        caller.prefix = self.prefix
        caller.upstream = self.upstream
        return caller

    def prepare(self, start: bytes, request: Request, upstream: Upstream) -> None:
        """Make the head that `upstream` gets, all but the body's length; `start` is what `head_start` gave for it."""
        self.prefix = request_prefix(start, request, self)
        self.upstream = upstream

    def record(
        self,
        status: int,
        *,
        message: Message | None = None,
        http_method: str = "POST",
        bytes_in: int = 0,
        bytes_out: int = 0,
        refused: str | None = None,
    ) -> Record:
        """The audit record of this call as it ends now."""
        return Record(
            self.started,
            self.token.subject,
            self.token.client,
            self.route.id,
            message.method if message is not None else (None if http_method == "POST" else http_method),
            message.tool if message is not None else None,
            status,
            (time.perf_counter() - self.began) * 1000,
            bytes_in,
            bytes_out,
            self.session,
            refused,
        )


def head_start(method: str, route: Route, token: Token, upstream: Upstream) -> bytes:
    """The part of a request's head that is the same for all calls of this user by this client to this upstream."""
    identity = ((b"x-mcp-user", token.subject.encode()), (b"x-mcp-client", token.client.encode()))
    fixed = {**dict(route.headers), **dict(route.user_headers.get(token.subject, ()))}
    head = request_head(
        method.encode(),
        upstream.target,
        (
            (b"host", upstream.host),
            *(((b"content-type", b"application/json"),) if method == "POST" else ()),
            *(identity if route.hosted else ()),
            *fixed.items(),
        ),
    )
    return head[:-2]


def request_prefix(start: bytes, request: Request, caller: Caller) -> bytes:
    """All of the request's head that comes from the client's head: `start`, the headers that pass, the session id."""
    route, connection = caller.route, request.get(b"connection")
    owned = frozenset(name for name, _ in (*route.headers, *route.user_headers.get(caller.token.subject, ())))
    if connection is not None and connection.lower() not in (b"keep-alive", b"close"):
        owned |= connection_named(request.get_all(b"connection"))
    lines = [b"%b: %b\r\n" % pair for pair in to_server(request.headers, modern=caller.modern, owned=owned)]
    if caller.session is not None:
        lines.append(b"mcp-session-id: %b\r\n" % caller.session)
        # Only beside a session that is the caller's own: an event id alone would replay whatever stream it names.
        if (last := request.get(b"last-event-id")) is not None:
            lines.append(b"last-event-id: %b\r\n" % last)
    return b"".join((start, *lines))


def request_data(caller: Caller, read: Message | None) -> tuple[bytes, bool]:
    """The bytes of the whole request, whose head is prepared, and whether a server may get it twice."""
    if read is None:
        return caller.prefix + b"\r\n", True
    data = b"%bcontent-length: %d\r\n\r\n%b" % (caller.prefix, len(read.body), read.body)
    return data, read.method in REPEATABLE


class McpCall(Relay):
    """Carries one call and records it."""

    __slots__ = ("audit", "blocks", "bytes_in", "caller", "http_method", "message", "session_key")

    def __init__(
        self,
        exchange: Exchange,
        wire: Wire,
        active: set[Relay],
        *,
        caller: Caller,
        message: Message | None,
        http_method: str,
        audit: Audit,
        session_key: bytes,
        blocks: dict[tuple[tuple[bytes, bytes], ...], HeaderBlock],
        idle_seconds: float,
        bytes_in: int,
    ):
        super().__init__(exchange, wire, active, answer_seconds=caller.route.answer_seconds, idle_seconds=idle_seconds)
        self.caller = caller
        self.message = message
        self.http_method = http_method
        self.audit = audit
        self.session_key = session_key
        self.blocks = blocks
        self.bytes_in = bytes_in
        audit.reserve()

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> Headers | Answer:
        """The answer's headers, its session id bound to the user; or a refusal of an answer that can't be passed on."""
        if 300 <= status < 400 or status in (401, 407):
            # A redirect would lead the caller's data elsewhere; a 401 is about the gateway's credentials and would
            # start a sign-in that can't help.
            return self._bad_gateway(f"the server answered {status}")
        passed = to_client(headers)
        content_type = b""
        for name, value in headers:
            if name == b"content-type":
                content_type = value
            elif name == b"mcp-session-id" and not self.caller.modern:
                session = sessions.bound(self.session_key, self.caller.route.id, self.caller.token.subject, value)
                if session is None:
                    return self._bad_gateway("the server gave a session id that isn't visible ASCII")
                self.caller.session = value
                passed.append((name, session))
        stream = content_type.startswith(_EVENT_STREAM)
        if self._lists_tools() and (refusal := self._filter(status, headers, content_type, stream=stream)) is not None:
            return refusal
        if stream:
            passed.append((b"x-accel-buffering", b"no"))
        passed.append((b"x-content-type-options", b"nosniff"))
        key = (*passed, *self.caller.cors)
        block = self.blocks.get(key)
        if block is None:
            block = header_block(key)
            if len(self.blocks) >= _MAX_BLOCKS:
                self.blocks.clear()
            self.blocks[key] = block
        return block

    def replace(self, answer: Answer) -> None:
        """Answer for the upstream, in a form that the caller's web page may read."""
        super().replace(dataclasses.replace(answer, headers=(*answer.headers, *self.caller.cors)))

    def failure(self, error: UpstreamError | None) -> Answer:
        """502 or 504; what exactly failed is for the operator's log, not for the caller."""
        identifier = self.message.id if self.message is not None else None
        if error is None:
            return rpc_error(504, answers.REFUSED, "The server did not answer in time", id=identifier, reason="timeout")
        logger.warning("server %s: %s", self.caller.route.id, error)
        return rpc_error(502, answers.REFUSED, "The server can't be reached", id=identifier, reason="upstream failed")

    def finished(self, reason: str | None) -> None:
        """Write the audit record."""
        self.audit.write(
            self.caller.record(
                self.status or 499,
                message=self.message,
                http_method=self.http_method,
                bytes_in=self.bytes_in,
                bytes_out=self.answer_bytes,
                refused=reason,
            )
        )

    def _bad_gateway(self, reason: str) -> Answer:
        logger.warning("server %s: %s", self.caller.route.id, reason)
        return http_error(502, "The server's answer can't be passed on.", reason=reason)

    def _lists_tools(self) -> bool:
        return self.caller.route.allowed_tools is not None and (
            self.http_method == "GET" or (self.message is not None and self.message.method == "tools/list")
        )

    def _filter(
        self, status: int, headers: list[tuple[bytes, bytes]], content_type: bytes, *, stream: bool
    ) -> Answer | None:
        allowed = self.caller.route.allowed_tools or frozenset()
        if any(name == b"content-encoding" for name, _ in headers):
            return self._bad_gateway("the server encoded a list of tools that has to be filtered")
        if stream:
            self.filter = EventListing(allowed)
        elif content_type.startswith(b"application/json"):
            self.filter = JsonListing(allowed)
        elif status == 200:
            return self._bad_gateway("the server sent a list of tools that is neither JSON nor an event stream")
        return None
