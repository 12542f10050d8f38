"""Judges each request in the order of rules: path, host, origin, method, token, audience, scope, rate, message, tool.

What a head can tell is judged before the body is read, so that nobody without a token makes the edge hold a body, and
no server hears of a request that is refused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_wire.exchange import Exchange
from mcp_wire.request import Request

from mcp_gateway.edge import answers, sessions
from mcp_gateway.edge.answers import Answer, http_error
from mcp_gateway.edge.call import Caller, McpCall, request_data
from mcp_gateway.edge.control import MAX_BODY_BYTES, METHODS, ControlCall, control_request, is_forwarded, unavailable
from mcp_gateway.edge.document import Document, Route
from mcp_gateway.edge.instance_call import InstanceCall
from mcp_gateway.edge.messages import MODERN, Message, message, repetition, version_refusal
from mcp_gateway.edge.missing import missing_values
from mcp_gateway.edge.relay import Wire
from mcp_gateway.edge.tokens import NOT_BEFORE_LEEWAY_SECONDS, Token, is_live

if TYPE_CHECKING:
    from mcp_gateway.edge.worker import Edge

_PREFIX = b"/mcp-connect"
_ALLOW = (b"allow", b"POST, GET, DELETE, OPTIONS")
_MODERN_ALLOW = (b"allow", b"POST, OPTIONS")
_PREFLIGHT = (
    (b"access-control-allow-methods", b"POST, GET, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, last-event-id, mcp-session-id, mcp-protocol-version, "
        b"mcp-method, mcp-name",
    ),
    (b"access-control-max-age", b"600"),
)


@dataclass(frozen=True, slots=True)
class _Before:
    """A connection's last call: what the same head means under the same document needn't be found out twice."""

    head: object
    document: Document
    caller: Caller


class Door:
    """Judges the requests of one connection, which come one after the other."""

    __slots__ = ("_before", "_caller", "_document", "_edge", "wire")

    wire: Wire

    def __init__(self, edge: Edge):
        self._edge = edge
        self._caller: Caller | None = None
        self._document: Document | None = None
        self._before: _Before | None = None

    def on_head(self, request: Request, exchange: Exchange) -> None:
        """Refuse what the head gives reason to refuse, and bound the body."""
        edge = self._edge
        before = self._before
        self._document = edge.document
        if before is not None and before.head is request.head and before.document is edge.document:
            self._caller = caller = before.caller.again()
            answer = self._judged_again(request, caller)
            exchange.body_limit = caller.route.request_bytes
        else:
            self._caller = self._before = None
            answer = self._head(request, exchange)
        if answer is not None:
            exchange.respond(answer.status, answer.headers, answer.body)

    def on_request(self, request: Request, exchange: Exchange) -> None:
        """Judge the body and carry the request."""
        edge = self._edge
        document = edge.document
        if document is None:
            return
        if document is not self._document:
            # The body took its time: nothing that the head was judged by, or that was prepared from it, holds any more.
            self.on_head(request, exchange)
            if exchange.answered:
                return
        caller = self._caller
        if caller is None:
            relay = ControlCall(request, exchange, self.wire, edge.active)
            relay.send(
                edge.control,
                control_request(request, document),
                repeatable=request.method in ("GET", "HEAD"),
                head_only=request.method == "HEAD",
            )
            return
        read: Message | None = None
        if request.method == "POST":
            judged = self._message(request, document, caller)
            if isinstance(judged, Answer):
                self._refuse(exchange, request, caller, judged)
                return
            read = judged
        elif caller.token.subject in caller.route.missing:
            self._refuse(exchange, request, caller, self._missing(document, caller, None))
            return
        upstream = caller.route.upstream
        call = (InstanceCall if upstream is None else McpCall)(
            exchange,
            self.wire,
            edge.active,
            caller=caller,
            message=read,
            http_method=request.method,
            audit=edge.audit,
            session_key=document.session_key,
            blocks=edge.blocks,
            idle_seconds=edge.stream_idle_seconds,
            bytes_in=len(request.body),
        )
        if isinstance(call, InstanceCall):
            call.begin(edge.ways, request, issuer=document.issuer, again=self.on_request)
            self._remember(request, document, caller, read)
        elif upstream is not None:
            if caller.upstream is not upstream:
                caller.prepare(edge.start(request.method, caller, upstream), request, upstream)
                self._remember(request, document, caller, read)
            data, repeatable = request_data(caller, read)
            call.send(edge.upstreams.pool(upstream), data, repeatable=repeatable)

    def _remember(self, request: Request, document: Document, caller: Caller, read: Message | None) -> None:
        before = self._before
        if read is not None and (before is None or before.caller.upstream is not caller.upstream):
            self._before = _Before(request.head, document, caller.again())

    def _head(self, request: Request, exchange: Exchange) -> Answer | None:
        document = self._edge.document
        if request.path == b"/healthz":
            return http_error(503, "Not ready.") if document is None else Answer(200, (), b"ok\n", "")
        if document is None:
            return unavailable(page=b"text/html" in (request.get(b"accept") or b""))
        host = request.get(b"host")
        if host is None or host.lower() not in document.allowed_hosts:
            return http_error(421, "This host name is not served here.")
        origin = request.get(b"origin")
        if origin is not None and origin.lower() not in document.allowed_origins:
            return http_error(403, "Requests from this origin are not allowed.")
        path = request.path
        if path.startswith(_PREFIX) and path[len(_PREFIX) : len(_PREFIX) + 1] in (b"", b"/"):
            return self._mcp_head(request, exchange, document, _cors(origin))
        if request.method not in METHODS:
            return http_error(405)
        if not is_forwarded(path):
            return answers.NOT_FOUND
        exchange.body_limit = MAX_BODY_BYTES
        return None

    def _mcp_head(
        self, request: Request, exchange: Exchange, document: Document, cors: answers.Headers
    ) -> Answer | None:
        route = document.routes.get(request.path)
        if route is None:
            return _with(answers.NOT_FOUND, cors)
        method = request.method
        if method == "OPTIONS":
            return Answer(204, (_ALLOW, *cors, *(_PREFLIGHT if cors else ())), b"", "")
        if method not in ("POST", "GET", "DELETE"):
            return _with(http_error(405, headers=(_ALLOW,)), cors)
        token = self._token(request, document, route)
        if isinstance(token, Answer):
            return _with(token, cors)
        modern = request.get(b"mcp-protocol-version") == MODERN
        self._caller = caller = Caller(route, token, modern=modern, cors=cors)
        refusal = self._judged(request, document, caller)
        if refusal is not None:
            self._record_refusal(request, caller, refusal)
            return _with(refusal, cors)
        exchange.body_limit = route.request_bytes if method == "POST" else 0
        return None

    def _token(self, request: Request, document: Document, route: Route) -> Token | Answer:
        """The caller's token, or the challenge. A token is taken from the Authorization header and nowhere else."""
        value = request.get(b"authorization")
        if value is None or value[:7].lower() != b"bearer ":
            return answers.unauthorized(route, token_sent=False)
        token = self._edge.verifier.token(value[7:].strip(b" "))
        if (
            token is None
            or not is_live(token, time.time(), document.revoked_tokens, document.revoked_before)
            or token.subject not in document.subjects
        ):
            return answers.unauthorized(route, token_sent=True)
        if token.audience != route.resource and token.subject in route.subjects:
            # 401, not 403: clients sign in anew, for this server, on a 401 only.
            return answers.unauthorized(route, token_sent=True)
        return token

    def _judged(self, request: Request, document: Document, caller: Caller) -> Answer | None:
        route, token = caller.route, caller.token
        if token.subject not in route.subjects:
            return answers.NOT_FOUND
        if not route.scopes <= token.scopes:
            return answers.insufficient_scope(route)
        refusal = self._bounded(caller) or repetition(request)
        if refusal is None and request.method != "POST":
            refusal = version_refusal(request.get(b"mcp-protocol-version"))
        if refusal is not None:
            return refusal
        if caller.modern:
            return http_error(405, headers=(_MODERN_ALLOW,)) if request.method != "POST" else None
        given = request.get(b"mcp-session-id")
        if given is not None:
            caller.session = sessions.unbound(document.session_key, route.id, token.subject, given)
            if caller.session is None:
                return answers.session_not_found()
        return None

    def _bounded(self, caller: Caller) -> Answer | None:
        route = caller.route
        wait = self._edge.rates.wait(caller.token.subject, route.id, route.calls_per_minute, time.monotonic())
        if wait:
            return answers.too_many(wait)
        if self._edge.audit.full:
            return http_error(503, "Calls can't be recorded just now.", reason="audit trail is full")
        return None

    def _judged_again(self, request: Request, caller: Caller) -> Answer | None:
        """What may have changed since the same head was judged by the same document: time, rate, room for records."""
        token = caller.token
        if not token.not_before - NOT_BEFORE_LEEWAY_SECONDS <= caller.started < token.expires:
            return _with(answers.unauthorized(caller.route, token_sent=True), caller.cors)
        refusal = self._bounded(caller)
        if refusal is not None:
            self._record_refusal(request, caller, refusal)
            return _with(refusal, caller.cors)
        return None

    def _message(self, request: Request, document: Document, caller: Caller) -> Message | Answer:
        read = message(request)
        if isinstance(read, Answer):
            return read
        route = caller.route
        if caller.token.subject in route.missing:
            return self._missing(document, caller, read)
        if read.method == "tools/call" and route.allowed_tools is not None and read.tool not in route.allowed_tools:
            return read.refusal(
                answers.INVALID_PARAMS, "This tool does not exist or may not be used", reason="tool not allowed"
            )
        return read

    def _missing(self, document: Document, caller: Caller, read: Message | None) -> Answer:
        route = caller.route
        return missing_values(document.issuer, route.id, route.missing[caller.token.subject], read)

    def _refuse(self, exchange: Exchange, request: Request, caller: Caller, answer: Answer) -> None:
        self._record_refusal(request, caller, answer)
        answer = _with(answer, caller.cors)
        exchange.respond(answer.status, answer.headers, answer.body)

    def _record_refusal(self, request: Request, caller: Caller, answer: Answer) -> None:
        audit = self._edge.audit
        if not audit.full:
            audit.reserve()
            size = len(request.body)
            audit.write(caller.record(answer.status, http_method=request.method, bytes_in=size, refused=answer.reason))


def _with(answer: Answer, headers: answers.Headers) -> Answer:
    return Answer(answer.status, (*answer.headers, *headers), answer.body, answer.reason) if headers else answer


def _cors(origin: bytes | None) -> answers.Headers:
    """What lets an allowed web page read the answer (Fetch Standard, section 3.3); the origin is one of the list."""
    if origin is None:
        return ()
    return (
        (b"access-control-allow-origin", origin.lower()),
        (b"access-control-expose-headers", b"mcp-session-id, mcp-protocol-version, www-authenticate, retry-after"),
        (b"vary", b"origin"),
    )
