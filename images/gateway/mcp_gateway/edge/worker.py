"""All state of one worker, and what it does when a document, a table or its end comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from mcp_wire.http_client import Pool, Target
from mcp_wire.http_server import Connections, Limits
from mcp_wire.response import HeaderBlock

from mcp_gateway.edge.audit import Audit
from mcp_gateway.edge.call import Caller, McpCall, head_start
from mcp_gateway.edge.document import MAX_REQUEST_BYTES, Document, Upstream, document
from mcp_gateway.edge.door import Door
from mcp_gateway.edge.instance_call import InstanceCall, Ways
from mcp_gateway.edge.instances import Instance, Instances
from mcp_gateway.edge.rates import Rates
from mcp_gateway.edge.relay import Relay, Wire
from mcp_gateway.edge.starting import Starts
from mcp_gateway.edge.tokens import Verifier, is_live
from mcp_gateway.edge.upstreams import Upstreams

logger = logging.getLogger(__name__)

_MAX_HEADS = 10_000


class Edge:
    """All state of one worker: the document in force, connections, rates, calls under way."""

    def __init__(self, control: str, audit: Audit, *, stream_idle_seconds: float):
        self.document: Document | None = None
        self.verifier = Verifier("", {})
        self.audit = audit
        self.rates = Rates()
        self.upstreams = Upstreams()
        self.control = Pool(Target("control", path=control))
        self.limits = Limits(body_bytes=MAX_REQUEST_BYTES)
        self.connections = Connections(self.limits)
        self.active: set[Relay] = set()
        self.heads: dict[tuple[str, str, str, str], tuple[Upstream, bytes]] = {}
        self.blocks: dict[tuple[tuple[bytes, bytes], ...], HeaderBlock] = {}
        self.stream_idle_seconds = stream_idle_seconds
        self.instances = Instances(self._withdrawn, self._table_came)
        # Starts are held: they must not take the connections that pages and sign-ins need.
        self.starting = Pool(Target("control", path=control))
        self.ways = Ways(self.instances, Starts(self.starting, self.instances), self.start)

    def protocol(self) -> Wire:
        """The protocol of a new connection."""
        door = Door(self)
        door.wire = Wire(door.on_request, self.limits, door.on_head, self.connections)
        return door.wire

    def take(self, raw: Any, asked: float) -> str:
        """Put the document `raw` in force and give its version; raises DocumentError for one that can't be."""
        new = document(raw)
        self.put_in_force(new)
        logger.info("edge document in force: %d servers, version %s", len(new.routes), new.version[:12])
        return new.version

    def unchanged(self, asked: float) -> None:
        """Know that the document in force is the newest."""

    def put_in_force(self, document: Document) -> None:
        """Judge by `document` from now on. Calls under way go on, unless their caller lost the server or the token;
        those that wait for an instance are judged anew."""
        self.upstreams.prepare(route.upstream for route in document.routes.values())
        before = self.document
        if before is None or (before.issuer, before.key_ids) != (document.issuer, document.key_ids):
            self.verifier = Verifier(document.issuer, document.keys)
        self.document = document
        self.heads.clear()
        self.upstreams.keep(route.upstream for route in document.routes.values())
        for relay in list(self.active):
            if isinstance(relay, InstanceCall) and relay.waits:
                relay.judge_again()
            elif isinstance(relay, McpCall) and not self.is_current(document, relay.caller):
                relay.cut("access ended")

    def sweep(self) -> None:
        """End what took too long; call this about once a second."""
        now = time.monotonic()
        for relay in [each for each in self.active if each.deadline < now]:
            relay.timed_out()
        self.upstreams.expire()
        self.instances.expire()
        self.control.expire()
        self.starting.expire()
        self.rates.expire(now)

    def end_listening(self) -> None:
        """Cut streams that only wait for messages, and answer calls that wait for an instance: both would hold up the
        edge's end, and clients try again."""
        for relay in list(self.active):
            if isinstance(relay, InstanceCall) and relay.waits:
                relay.edge_stops()
            elif isinstance(relay, McpCall) and relay.http_method == "GET":
                relay.cut("the edge is stopping")

    def start(self, method: str, caller: Caller, upstream: Upstream) -> bytes:
        """The cached beginning of the head of a request to `upstream`."""
        token = caller.token
        key = (method, caller.route.id, token.subject, token.client)
        kept = self.heads.get(key)
        if kept is not None and kept[0] is upstream:
            return kept[1]
        if len(self.heads) >= _MAX_HEADS:
            self.heads.clear()
        start = head_start(method, caller.route, token, upstream)
        self.heads[key] = upstream, start
        return start

    def _withdrawn(self, gone: Sequence[Instance]) -> None:
        instances = set(gone)
        for relay in list(self.active):
            if isinstance(relay, InstanceCall) and relay.instance in instances:
                relay.withdrawn()

    def _table_came(self) -> None:
        for relay in list(self.active):
            if isinstance(relay, InstanceCall):
                relay.table_came()

    @staticmethod
    def is_current(document: Document, caller: Caller) -> bool:
        """Whether the caller may still use the route; it is replaced by that of `document`, if there is one."""
        route, token = document.routes.get(caller.route.path), caller.token
        if route is caller.route:
            return True
        if route is not None:
            caller.route = route
        return (
            route is not None
            and token.subject in route.subjects
            and token.subject in document.subjects
            and is_live(token, caller.started, document.revoked_tokens, document.revoked_before)
        )
