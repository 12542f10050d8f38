"""What is asked of users' instances: started once however many ask, kept within limits, stopped, listed."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mcp_launcher import bodies
from mcp_launcher.board import Board, note
from mcp_launcher.failure import Failure
from mcp_launcher.flights import Flight
from mcp_launcher.instance_engine import InstanceEngine
from mcp_launcher.owned import Key, Owned
from mcp_launcher.placeholders import Filled, Unfillable, fill
from mcp_launcher.starting import Order, Starter
from mcp_launcher.table import Entry, listing, shown
from mcp_launcher.templates import Template, Templates
from mcp_launcher.transport import EngineError
from mcp_launcher.verdict import beyond_limits

POLL_SECONDS = 25.0
LARGEST_RUNNER_DOCUMENT = 1_048_576
"""What the runner reads (docs/contracts.md, section 6)."""


class Instances:
    """Answers the interface. Methods may be called by any thread."""

    def __init__(self, board: Board, engine: InstanceEngine, starter: Starter) -> None:
        self._board = board
        self._engine = engine
        self._starter = starter

    def start(
        self, key: Key, values: Mapping[str, str], revision: str, *, do_replace: bool, force: bool
    ) -> dict[str, Any]:
        """Return the instance when it is ready.

        Raises:
            Failure: with the reason.
            EngineError: the engine can't be asked whether one that should run does.
        """
        board, ended = self._board, ""
        while True:
            with board.changed:
                board.check_open()
                templates, template = board.template(key.server)
                flight = board.flights.get(key)
                if flight is None:
                    entry = board.entries.get(key)
                    running = _running(entry, ended)
                    current = running is not None and not (do_replace and _differs(running, template, revision))
                    if not current:
                        filled = _filled(template, values)
                        if running is None:
                            self._admit(key, templates, force=force)
                        starting = Entry(state="starting", revision=revision, template=template.digest)
                        mine = board.begin(key, "start", starting)
            if flight is None and current and running is not None and running.container is not None:
                # It may have ended a moment ago, or the edge may be a new one that is still joining.
                if self._starter.is_reachable(running.container):
                    return shown(key, running, templates)
                ended = running.container.id
                continue
            if flight is None:
                order = Order(templates=templates, template=template, key=key, filled=filled, revision=revision)
                return self._start(order, mine, replacing=running is not None)
            flight.done.wait()
            if flight.kind == "start" and flight.failure is not None:
                raise flight.failure

    def stop(self, key: Key, *, with_volume: bool = False) -> None:
        """Stop an instance, and with its volume remove its data too; return when nothing of it is left.

        Raises:
            Failure: the engine can't be reached, or refused.
        """
        board = self._board
        while True:
            with board.changed:
                board.check_open()
                flight = board.flights.get(key)
                if flight is None:
                    entry = board.entries.get(key)
                    stopping = replace(entry, state="stopping", url="", reason="") if entry else None
                    mine = board.begin(key, "stop", stopping)
            if flight is None:
                self.carry_out_stop(key, mine, with_volume=with_volume)
                return
            if flight.kind in ("start", "adopt"):
                board.cancel(flight)
            flight.done.wait()
            if flight.kind == "stop" and not with_volume:
                if flight.failure is not None:
                    raise flight.failure
                return

    def carry_out_stop(self, key: Key, flight: Flight, *, with_volume: bool = False) -> None:
        """Do what a flight of kind `stop` is for, and land it."""
        try:
            self._board.clear(key, graceful=True, exports=with_volume)
            if with_volume:
                for volume in self._engine.volumes(key):
                    self._engine.remove_volume(volume)
                self._starter.forget_volume(key)
            note("info", "stopped", key, data=with_volume)
        except EngineError as error:
            flight.failure = Failure("engine", str(error), retry_seconds=1)
            raise flight.failure from error
        finally:
            self._board.land(key, None)

    def listing(self, after: str | None) -> dict[str, Any] | None:
        """Return all instances and volumes, or None when nothing was new for 25 s."""
        until, board = time.monotonic() + POLL_SECONDS, self._board
        with board.changed:
            while True:
                if board.looked:
                    found = listing(board.entries, self._engine.volume_keys(), board.templates)
                    if found["version"] != after:
                        return found
                left = until - time.monotonic()
                if left <= 0:
                    break
                board.changed.wait(left)
            board.check_open()
        return None

    def running(self) -> dict[Key, Owned]:
        """Return the containers of the instances that run."""
        with self._board.changed:
            self._board.check_open()
            return {
                key: entry.container
                for key, entry in self._board.entries.items()
                if entry.state == "running" and entry.container is not None
            }

    def container(self, key: Key) -> Owned | None:
        """Return an instance's container, also of one that is starting."""
        return self._board.container(key)

    def last_words(self, key: Key) -> tuple[str, ...]:
        """Return the last lines of an instance that failed."""
        with self._board.changed:
            entry = self._board.entries.get(key)
            return entry.log if entry else ()

    def export(self, name: str, body: Mapping[str, Any]) -> Owned:
        """Create a keeper, which is let alone until `end_export`."""
        # Noted first, so that no look judges it.
        with self._board.changed:
            self._board.check_open()
            self._board.exports.add(name)
        try:
            return self._engine.create_container(name, body)
        except BaseException:
            self._forget_export(name)
            raise

    def end_export(self, keeper: Owned) -> None:
        """Remove a keeper."""
        try:
            self._engine.remove(keeper)
        finally:
            self._forget_export(keeper.name)

    def templates(self) -> Templates:
        """Return the templates in force.

        Raises:
            Failure: there are none.
        """
        with self._board.changed:
            if self._board.templates is None:
                raise Failure("engine", "no templates were delivered yet; run `pulumi up`", retry_seconds=5)
            return self._board.templates

    def _forget_export(self, name: str) -> None:
        with self._board.changed:
            self._board.exports.discard(name)

    def _admit(self, key: Key, templates: Templates, *, force: bool) -> None:
        board = self._board
        counted = {other for other, entry in board.entries.items() if entry.state in ("running", "stopping")}
        counted |= board.flights.of_kind("start", "adopt")
        if refusal := beyond_limits(key, counted - {key}, templates):
            raise refusal
        if force:
            board.back_off.reset(key)
        elif refusal := board.back_off.refusal(key, time.monotonic()):
            raise refusal

    def _start(self, order: Order, flight: Flight, *, replacing: bool) -> dict[str, Any]:
        key, began = order.key, time.monotonic()
        landed = None
        try:
            self._board.take_turn(order.templates.starts_at_once, flight)
            try:
                # Also what an earlier launcher may have left half-made.
                self._board.clear(key, graceful=replacing)
                running = self._starter.start(order, flight.cancel)
            finally:
                self._board.give_turn()
            landed = Entry(
                state="running",
                url=running.url,
                started_at=running.started_at,
                revision=order.revision,
                template=order.template.digest,
                container=running.container,
            )
            with self._board.changed:
                self._board.back_off.reset(key)
            note("info", "started", key, seconds=round(time.monotonic() - began, 3))
            return shown(key, landed, order.templates)
        except Failure as failure:
            flight.failure = failure
            raise
        except EngineError as error:
            flight.failure = Failure("engine", str(error), retry_seconds=1)
            raise flight.failure from error
        except BaseException:
            flight.failure = Failure("engine", "the launcher failed; its log says more", retry_seconds=1)
            raise
        finally:
            try:
                if flight.failure is not None:
                    landed = self._after_failure(key, flight.failure, cancelled=flight.cancel())
            finally:
                self._board.land(key, landed)

    def _after_failure(self, key: Key, failure: Failure, *, cancelled: bool) -> Entry | None:
        """Clear away what a failed start has left, and return what is shown of it."""
        self._board.clear_quietly(key)
        note("warning", "start failed", key, code=failure.code)
        if cancelled:
            return None
        if failure.code == "start-failed":
            with self._board.changed:
                failure.retry_seconds = self._board.back_off.failed(key, failure, time.monotonic())
        return Entry(state="failed", reason=failure.message, log=failure.log)


def _running(entry: Entry | None, ended: str) -> Entry | None:
    """Return an entry that runs with another container than the one that has ended."""
    if entry is None or entry.state != "running" or entry.container is None or entry.container.id == ended:
        return None
    return entry


def _differs(entry: Entry, template: Template, revision: str) -> bool:
    return entry.revision != revision or entry.template != template.digest


def _filled(template: Template, values: Mapping[str, str]) -> Filled:
    try:
        filled = fill(template, values)
    except Unfillable as error:
        raise Failure("bad-request", str(error)) from None
    if template.bridge is not None and len(bodies.runner_document(template, filled)) > LARGEST_RUNNER_DOCUMENT:
        raise Failure("bad-request", "all values together are longer than the runner takes; make them shorter")
    return filled
