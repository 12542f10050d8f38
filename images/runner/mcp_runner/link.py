"""Many parties, one child: request ids and progress tokens are the link's own on the child's side, so that parties
can't meet.

Where a message of the child goes: a response and a progress notification to the request they name; what names no
request to the one party there is (a session with a child of its own), else, on a shared child, to the one party that
has a request under way. List changes go to every session, an updated resource to those that subscribed to it. What
can't be told apart is dropped, a request refused: never the wrong client.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from mcp_wire.exchange import Exchange

from mcp_runner import messages
from mcp_runner.child import Child
from mcp_runner.eras import SUBSCRIPTION_KEY, error_status
from mcp_runner.log import log
from mcp_runner.messages import Id, Message, encode, error, parse_line, split_result
from mcp_runner.reply import Answer, Reply

Shape = Callable[[Message], Message]
QUEUE = 100
"""Messages kept for a client that has no stream open."""
PENDING = 1000
"""Requests under way for one party."""


class Party:
    """One client of a child: a session, or a single request of the modern era."""

    __slots__ = ("asked", "modern", "queue", "replies", "stream", "subscribed", "wants_log")

    def __init__(self, *, modern: bool = False, wants_log: bool = True):
        self.modern = modern
        self.wants_log = wants_log
        self.replies: dict[int, Reply] = {}
        self.stream: Reply | None = None
        self.queue: deque[bytes] = deque(maxlen=QUEUE)
        self.asked: set[Id] = set()
        self.subscribed: set[str] = set()

    def deliver(self, line: bytes, *, own_stream: bool = False) -> None:
        """Send a message that names no request on exactly one stream: that of the only request under way, else the
        session's own."""
        open_replies = [reply for reply in self.replies.values() if reply.takes_events]
        stream = self.stream if self.stream is not None and self.stream.open else None
        if stream is not None and (own_stream or len(open_replies) != 1):
            stream.send(line)
        elif open_replies and not (own_stream and not self.modern):
            open_replies[0].send(line)
        elif not self.modern:
            self.queue.append(line)

    def attach(self, stream: Reply) -> None:
        """Take the session's own stream and send what waited for it."""
        self.stream = stream
        stream.start()
        while self.queue:
            stream.send(self.queue.popleft())


class _Pending:
    __slots__ = ("id", "id_bytes", "party", "reply", "shape", "token")

    def __init__(self, party: Party, id: Id, reply: Reply, shape: Shape | None, token: Any):
        self.party = party
        self.id = id
        self.id_bytes = json.dumps(id).encode()
        self.reply = reply
        self.shape = shape
        self.token = token


class Link:
    """The traffic between a child and its parties. `on_gone` is called once, after every waiting request has been
    answered with an error."""

    def __init__(self, child: Child, *, shared: bool):
        self.child = child
        self.parties: set[Party] = set()
        self.on_gone: Callable[[], None] = lambda: None
        self.on_traffic: Callable[[], None] = lambda: None
        self.shared = shared
        self._pending: dict[int, _Pending] = {}
        self._last = 0
        self._slow: set[Exchange] = set()
        child.on_line = self._line
        child.on_exit = self._gone

    def request(self, party: Party, message: Message, reply: Reply, shape: Shape | None = None) -> int:
        """Send a party's request; its response comes on `reply`, given another shape where asked. Returns the child's
        id of it, 0 if refused."""
        id = message["id"]
        if not self.child.alive or self.child.clogged or len(party.replies) >= PENDING:
            text = "the server process has ended" if not self.child.alive else "too many requests wait for the server"
            reply.finish(encode(error(id, messages.SERVER_GONE, text)), 503 if party.modern else 200)
            return 0
        self._last = number = self._last + 1
        token = None
        params = message.get("params")
        if params is not None:
            meta = params.get("_meta")
            if isinstance(meta, dict) and "progressToken" in meta:
                token, meta["progressToken"] = meta["progressToken"], number
            if message["method"] in ("resources/subscribe", "resources/unsubscribe"):
                change = (
                    party.subscribed.add if message["method"] == "resources/subscribe" else party.subscribed.discard
                )
                change(str(params.get("uri")))
        message["id"] = number
        line = encode(message)
        self._pending[number] = _Pending(party, id, reply, shape, token)
        party.replies[number] = reply
        if not self.shared:
            reply.on_slow = self._wait_for
        self.child.write(line)
        return number

    async def ask(self, message: Message) -> Message:
        """Send a request of the runner's own and return the whole response."""
        answer = Answer()
        self.request(Party(modern=True), message, answer)
        response: Message = json.loads(await answer.future)
        return response

    def notify(self, party: Party, message: Message) -> None:
        """Send a party's notification; a cancellation only for a request of its own."""
        if message["method"] == "notifications/cancelled":
            params = message.get("params") or {}
            number = next((n for n in party.replies if self._pending[n].id == params.get("requestId")), 0)
            if not number:
                return
            message["params"] = {**params, "requestId": number}
        self.child.write(encode(message))

    def answer(self, party: Party, message: Message) -> None:
        """Pass a party's response on, if it was this party that the child asked."""
        if message["id"] in party.asked:
            party.asked.discard(message["id"])
            self.child.write(encode(message))

    def cancel(self, number: int) -> None:
        """Tell the child that nobody waits for a request any more (modern era: the client closed the response)."""
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.party.replies.pop(number, None)
            params = {"requestId": number, "reason": "the client closed the response"}
            self.child.write(encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))

    def replies(self) -> list[Reply]:
        """Return the replies under way."""
        return [pending.reply for pending in self._pending.values()]

    def _line(self, line: bytes) -> None:
        self.on_traffic()
        found = split_result(line)
        if found is not None:
            number, start, end = found
            pending = self._pending.get(number)
            if pending is not None and pending.shape is None:
                del self._pending[number]
                del pending.party.replies[number]
                pending.reply.finish(line[:start] + pending.id_bytes + line[end:])
                return
        message = parse_line(line)
        if message is None:
            log("info", line[:8192].decode("utf-8", "replace"), self.child.label)
        elif "method" not in message:
            self._response(message)
        elif "id" in message:
            self._asked(message, line)
        else:
            self._notified(message, line)

    def _response(self, message: Message) -> None:
        number = message.get("id")
        if not isinstance(number, int) or (pending := self._pending.pop(number, None)) is None:
            return
        pending.party.replies.pop(number, None)
        message["id"] = pending.id
        if pending.shape is not None:
            try:
                message = pending.shape(message)
            except Exception as problem:
                log("error", f"a response can't be given another shape: {problem!r}", self.child.label)
                message = error(pending.id, messages.INTERNAL_ERROR, "the server's response is malformed")
        pending.reply.finish(encode(message), error_status(message) if pending.party.modern else 200)

    def _asked(self, message: Message, line: bytes) -> None:
        if message["method"] == "ping":
            self.child.write(encode({"jsonrpc": "2.0", "id": message["id"], "result": {}}))
            return
        party = self._only_party()
        if party is None or party.modern or len(party.asked) >= PENDING:
            text = "no client can be asked: none, or more than one, has a request under way"
            self.child.write(encode(error(message["id"], messages.METHOD_NOT_FOUND, text)))
            return
        party.asked.add(message["id"])
        party.deliver(line)

    def _notified(self, message: Message, line: bytes) -> None:
        method = message["method"]
        params = message.get("params") or {}
        meta = params.get("_meta") or {}
        if method == "notifications/progress":
            pending = self._pending.get(params.get("progressToken", 0))
            if pending is not None and pending.token is not None:
                message["params"] = {**params, "progressToken": pending.token}
                pending.reply.send(encode(message))
        elif SUBSCRIPTION_KEY in meta:
            pending = self._pending.get(meta[SUBSCRIPTION_KEY])
            if pending is not None:
                message["params"] = {**params, "_meta": {**meta, SUBSCRIPTION_KEY: pending.id}}
                pending.reply.send(encode(message))
        elif method == "notifications/cancelled":
            for party in self.parties:
                if params.get("requestId") in party.asked:
                    party.asked.discard(params["requestId"])
                    party.deliver(line)
        elif method.endswith("list_changed"):
            for party in self.parties:
                party.deliver(line, own_stream=True)
        elif method == "notifications/resources/updated" and self.shared:
            for party in self.parties:
                if params.get("uri") in party.subscribed:
                    party.deliver(line, own_stream=True)
        elif (only := self._only_party()) is not None and (only.wants_log or method != "notifications/message"):
            only.deliver(line)

    def _only_party(self) -> Party | None:
        """Return the party that a message without a named request must be for, if that can be told."""
        if not self.shared:
            return next(iter(self.parties), None)
        busy = {id(pending.party): pending.party for pending in self._pending.values()}
        return next(iter(busy.values())) if len(busy) == 1 else None

    def _wait_for(self, exchange: Exchange) -> None:
        """Read no more of this party's own child until its client has caught up."""
        if exchange in self._slow:
            return
        self._slow.add(exchange)
        self.child.pause()

        def caught_up() -> None:
            self._slow.discard(exchange)
            if not self._slow:
                self.child.resume()

        earlier = exchange.on_disconnect

        def gone() -> None:
            caught_up()
            if earlier is not None:
                earlier()

        exchange.on_drain = caught_up
        exchange.on_disconnect = gone

    def watch(self, stream: Reply) -> None:
        """Let a session's own stream slow its child down too."""
        if not self.shared:
            stream.on_slow = self._wait_for

    def _gone(self, reason: str) -> None:
        log("info" if self.child.stopping else "warning", f"the server process has ended: {reason}", self.child.label)
        pending, self._pending = self._pending, {}
        for each in pending.values():
            answer = error(each.id, messages.SERVER_GONE, f"the server process has ended: {reason}")
            each.party.replies.clear()
            each.reply.finish(encode(answer), 502 if each.party.modern else 200)
        for party in self.parties:
            if party.stream is not None:
                party.stream.close()
        self.on_gone()
