"""A call to the caller's own instance, which is started first where there is none (docs/contracts.md, section 9)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from mcp_wire.exchange import Exchange
from mcp_wire.http_client import NoConnection, UpstreamError
from mcp_wire.request import Request

from mcp_gateway.edge import answers
from mcp_gateway.edge.answers import Answer, http_error, rpc_error
from mcp_gateway.edge.call import Caller, McpCall, request_data
from mcp_gateway.edge.document import Upstream
from mcp_gateway.edge.instances import Instance, Instances, Key, Use
from mcp_gateway.edge.missing import missing_values
from mcp_gateway.edge.starting import AWAY, FULL, START_SECONDS, STATUSES, Outcome, Refused, Starts

logger = logging.getLogger(__name__)

TABLE_SECONDS = 5.0
"""How long a call waits for the first table of instances."""
WAY_SECONDS = 0.5
WAY_TRIES = 4
"""An edge that has just started is joined to instances' networks one after the other: how long until a try is made
again, and how many are, before an instance is called unreachable."""
_START_MARGIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Ways:
    """What leads a call to an instance. `start` gives the cached beginning of a request's head for an upstream."""

    instances: Instances
    starts: Starts
    start: Callable[[str, Caller, Upstream], bytes]


class InstanceCall(McpCall):
    """Finds the instance by the server and the verified subject, waits for it where it must, carries the call.

    What waits is judged anew, from the request's head on, when another document is put in force.
    """

    __slots__ = (
        "_again",
        "_call_off",
        "_failed",
        "_issuer",
        "_request",
        "_table",
        "_tries",
        "_use",
        "_ways",
        "instance",
    )

    _ways: Ways
    _request: Request
    _issuer: str
    _again: Callable[[Request, Exchange], None]

    def begin(self, ways: Ways, request: Request, *, issuer: str, again: Callable[[Request, Exchange], None]) -> None:
        """Carry the call if there is an instance, else wait for one; `again` judges the request anew."""
        self._ways = ways
        self._request = request
        self._issuer = issuer
        self._again = again
        self._call_off: Callable[[], None] | None = None
        self._failed: str | None = None
        self._table = False
        self._tries = 0
        self._use: Use | None = None
        self.instance: Instance | None = None
        self.active.add(self)
        self._find()

    @property
    def waits(self) -> bool:
        """Whether the call waits for an instance."""
        return self._table or self._call_off is not None

    # What happens while the call waits, or to its instance.

    def table_came(self) -> None:
        """Go on: it is known now which instances there are."""
        if self._table:
            self._table = False
            self._guarded(self._find)

    def judge_again(self) -> None:
        """Leave the wait, as another document is in force, and judge the request anew."""
        self._leave()
        self._end_use()
        self.active.discard(self)
        self.exchange.on_disconnect = None
        self.audit.release()
        try:
            self._again(self._request, self.exchange)
        except Exception:
            logger.exception("a request that waited could not be judged anew")
            if not self.exchange.answered:
                self.exchange.respond(500)

    def withdrawn(self) -> None:
        """Know that the instance may not be used any more: streams that listen end, calls under way end as they
        would."""
        if self.http_method == "GET":
            self._end_stream()
        elif self.call is not None and self.call.connection is None:
            # Not sent yet: by the time it is, the instance's address may be somebody else's.
            self._cancel()
            self.call = self.instance = None
            self._guarded(self._find)

    def edge_stops(self) -> None:
        """Answer at once: a wait would hold up the edge's end."""
        self.replace(self._refusal(AWAY))

    # Relay

    def on_failure(self, error: UpstreamError) -> None:
        """Send the call once more where no connection could be made; any failure makes the instance suspect."""
        instance, self.instance = self.instance, None
        self.call = None
        if instance is None or not isinstance(error, NoConnection):
            if instance is not None:
                instance.suspect = True
            super().on_failure(error)
            return
        logger.info("instance of %s: %s", self.caller.route.id, error)
        self._tries += 1
        if self._ways.instances.warm.get(instance.key) is not instance and self._tries < WAY_TRIES:
            self._guarded(self._find)
        elif not error.refused and self._tries < WAY_TRIES:
            self._try_later()
        else:
            instance.suspect = True
            if self.http_method == "POST" and self._failed is None:
                self._failed = instance.url
                self._guarded(lambda: self._start(instance.url))
            else:
                super().on_failure(error)

    def timed_out(self) -> None:
        """Give up the wait, or the answer."""
        if self.waits:
            self.replace(self._refusal(AWAY))
        else:
            super().timed_out()

    def done(self, reason: str | None) -> None:
        """End the wait and the use of the instance."""
        self._leave()
        self._end_use()
        super().done(reason)

    # The way to the instance.

    @property
    def _key(self) -> Key:
        """The server and the verified subject: nothing else leads to an instance."""
        return self.caller.route.id, self.caller.token.subject

    @property
    def _may_start(self) -> bool:
        """Only a POST that names no session: a session can't outlive its instance."""
        return self.http_method == "POST" and self.caller.session is None

    def _find(self) -> None:
        instances = self._ways.instances
        instance = instances.warm.get(self._key)
        if instance is not None and not (instance.suspect and self._may_start):
            self._carry(instance)
        elif not instances.known:
            self._table = True
            self._wait(TABLE_SECONDS)
        elif self._may_start:
            self._start(None)
        else:
            self.replace(answers.session_not_found(self._id))

    def _start(self, failed: str | None) -> None:
        self._wait(START_SECONDS + _START_MARGIN_SECONDS)
        self._call_off = self._ways.starts.ask(self._key, failed, self._told)

    def _try_later(self) -> None:
        def again() -> None:
            self._call_off = None
            self._guarded(self._find)

        self._wait(_START_MARGIN_SECONDS)
        self._call_off = asyncio.get_running_loop().call_later(WAY_SECONDS, again).cancel

    def _wait(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.exchange.on_disconnect = self.disconnected

    def _leave(self) -> None:
        self._table = False
        call_off, self._call_off = self._call_off, None
        if call_off is not None:
            call_off()

    def _end_use(self) -> None:
        use, self._use = self._use, None
        if use is not None:
            use.open -= 1
            use.last = time.monotonic()

    def _told(self, outcome: Outcome) -> None:
        self._call_off = None
        self._guarded(lambda: self._go_on(outcome))

    def _go_on(self, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            if self._failed is not None and outcome.code != "unavailable" and outcome is not FULL:
                self._ways.instances.lose(self._key, self._failed)
            self.replace(self._refusal(outcome))
        elif self.caller.session is not None and outcome.url != self._failed:
            self.replace(answers.session_not_found(self._id))
        else:
            self._carry(outcome)

    def _carry(self, instance: Instance) -> None:
        self.instance = instance
        self.deadline = time.monotonic() + self.caller.route.answer_seconds
        if self._use is None and self.http_method == "POST":
            self._use = use = self._ways.instances.used(instance)
            use.open += 1
        caller = self.caller
        if caller.upstream is not instance.upstream:
            start = self._ways.start(self.http_method, caller, instance.upstream)
            caller.prepare(start, self._request, instance.upstream)
        data, repeatable = request_data(caller, self.message)
        self.send(instance.pool, data, repeatable=repeatable)

    def _end_stream(self) -> None:
        self._cancel()
        if self.exchange.answered:
            self.done("the instance was stopped")
            self.exchange.end()
        else:
            self.replace(answers.session_not_found())

    def _guarded(self, step: Callable[[], None]) -> None:
        """Take a step that no connection waits for: a mistake in it must not leave the client without an answer."""
        try:
            step()
        except Exception:
            logger.exception("a call to an instance failed")
            self.give_up(http_error(500))

    @property
    def _id(self) -> object:
        return self.message.id if self.message is not None else None

    def _refusal(self, refused: Refused) -> Answer:
        """The answer to a call without an instance, in the form of its era: 2026-07-28 gives errors a status."""
        message = self.message
        if refused.code == "unknown":
            return answers.NOT_FOUND
        if refused.code == "values-missing" and refused.missing:
            return missing_values(self._issuer, self.caller.route.id, refused.missing, message)
        retry = refused.retry_seconds
        return rpc_error(
            200 if message is not None and message.id is not None and not message.modern else STATUSES[refused.code],
            answers.REFUSED,
            refused.message,
            id=self._id,
            headers=() if retry is None else ((b"retry-after", b"%d" % retry),),
            reason=f"no instance: {refused.code}",
        )
