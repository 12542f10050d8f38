"""Users' instances: started once however many ask, kept within their limits, stopped, cleaned up after, found again."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from mcp_launcher.backing_off import BackOff
from mcp_launcher.failure import Failure
from mcp_launcher.flights import Flight, Flights
from mcp_launcher.instance_engine import InstanceEngine
from mcp_launcher.inventory import Held, Look, address
from mcp_launcher.joins import Joins
from mcp_launcher.log import write
from mcp_launcher.owned import REVISION_LABEL, TEMPLATE_LABEL, Key, Owned
from mcp_launcher.placeholders import Filled, Unfillable, fill
from mcp_launcher.placement import Placement
from mcp_launcher.starting import Order, Starter, url
from mcp_launcher.table import Entry, listing, shown
from mcp_launcher.templates import Template, Templates
from mcp_launcher.transport import EngineError, Transport
from mcp_launcher.verdict import beyond_limits, helpers, verdict

POLL_SECONDS = 25.0
_WORKERS = 4
_YOUNG_MARGIN_SECONDS = 30
_LEAVERS = 8
_REST_SECONDS = 10.0
"""What couldn't be cleaned up is let alone so long."""


class Instances:
    """All instances of the stack. Methods may be called by any thread."""

    def __init__(self, transport: Transport, joins: Joins, look_again: Callable[[], None]) -> None:
        self._transport = transport
        self._engine = InstanceEngine(transport)
        self._placement = Placement()
        self._starter = Starter(transport, self._placement, joins)
        self._look_again = look_again
        self._changed = threading.Condition()
        self._templates: Templates | None = None
        self._entries: dict[Key, Entry] = {}
        self._flights = Flights()
        self._back_off = BackOff()
        self._starting = 0
        self._exports: dict[str, Key] = {}
        self._resting: dict[Key, float] = {}
        self._ready = False
        self._leaving = False
        self._workers = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="instances")

    def follow_templates(self, templates: Templates) -> None:
        """Put templates in force. Instances of servers that are no longer there are stopped at the next look."""
        self._transport.follow_templates(templates)
        with self._changed:
            self._templates = templates
            self._changed.notify_all()
        self._look_again()

    def start(
        self, key: Key, values: Mapping[str, str], revision: str, *, do_replace: bool, force: bool
    ) -> dict[str, Any]:
        """Return the instance when it is ready.

        Raises:
            Failure: with the reason.
        """
        while True:
            with self._changed:
                self._check_ready()
                templates, template = self._template(key)
                filled = _filled(template, values)
                flight = self._flights.get(key)
                if flight is None:
                    entry = self._entries.get(key)
                    running = entry if entry and entry.state == "running" else None
                    if running and not (do_replace and self._differs(running, template, revision)):
                        return shown(key, running, templates)
                    if running is None:
                        self._check_limits(key, templates)
                        self._check_back_off(key, force=force)
                    mine = self._begin_start(key, revision, template)
            if flight is None:
                order = Order(templates=templates, template=template, key=key, filled=filled, revision=revision)
                return self._fly(order, mine, replacing=running is not None)
            flight.done.wait()
            if flight.kind == "start" and flight.failure is not None:
                raise flight.failure

    def stop(self, key: Key, *, with_volume: bool = False) -> None:
        """Stop an instance, and with its volume remove its data too; return when nothing of it is left.

        Raises:
            Failure: the engine can't be reached, or refused.
        """
        while True:
            with self._changed:
                self._check_ready()
                flight = self._flights.get(key)
                if flight is None:
                    mine = self._flights.begin(key, "stop", time.monotonic())
                    if entry := self._entries.get(key):
                        self._entries[key] = replace(entry, state="stopping", url="", reason="")
                    self._changed.notify_all()
            if flight is None:
                self._fly_stop(key, mine, with_volume=with_volume)
                return
            if flight.kind == "start":
                flight.cancel.set()
            flight.done.wait()
            if flight.kind == "stop" and not with_volume:
                if flight.failure is not None:
                    raise flight.failure
                return

    def listing(self, after: str | None) -> dict[str, Any] | None:
        """Return all instances and volumes, or None when nothing was new for 25 s."""
        until = time.monotonic() + POLL_SECONDS
        with self._changed:
            while True:
                if self._ready:
                    found = listing(self._entries, self._engine.volume_keys(), self._templates)
                    if found["version"] != after:
                        return found
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._check_ready()
        return None

    def running(self) -> dict[Key, Owned]:
        """Return the containers of the instances that run."""
        with self._changed:
            self._check_ready()
            return {
                key: entry.container
                for key, entry in self._entries.items()
                if entry.state == "running" and entry.container is not None
            }

    def container(self, key: Key) -> Owned | None:
        """Return an instance's container, also of one that is starting."""
        return next((each for each in self._engine.containers(key) if each.role == "instance"), None)

    def last_words(self, key: Key) -> tuple[str, ...]:
        """Return the last lines of an instance that failed."""
        with self._changed:
            entry = self._entries.get(key)
            return entry.log if entry else ()

    def export(self, name: str, body: Mapping[str, Any]) -> Owned:
        """Create a keeper, which is let alone until `end_export`."""
        # Under the lock, so that no look judges it before it is known to be an export's.
        with self._changed:
            self._check_ready()
            keeper = self._engine.create_container(name, body)
            self._exports[keeper.id] = keeper.key
            return keeper

    def end_export(self, keeper: Owned) -> None:
        """Remove a keeper."""
        try:
            self._engine.remove(keeper)
        finally:
            with self._changed:
                self._exports.pop(keeper.id, None)

    def templates(self) -> Templates:
        """Return the templates in force.

        Raises:
            Failure: there are none.
        """
        with self._changed:
            if self._templates is None:
                raise Failure("engine", "no templates were delivered yet; run `pulumi up`", retry_seconds=5)
            return self._templates

    def saw(self, look: Look, began: float) -> None:
        """Take in a look that began then (seconds, monotonic), and begin what it calls for."""
        self._placement.saw(look)
        with self._changed:
            if self._leaving:
                return
            # Without templates it can't be said what belongs there: nothing is touched before they are read.
            if self._templates is not None:
                for key in look.held.keys() | self._entries.keys():
                    if self._flights.untouched_since(key, began):
                        self._judge(key, look.held.get(key, Held()))
            self._flights.forget_before(began)
            self._resting = {key: until for key, until in self._resting.items() if until > began}
            self._ready = True
            self._changed.notify_all()

    def leave(self) -> None:
        """End every start, and remove every instance with its network. Volumes stay."""
        with self._changed:
            self._leaving = True
            for flight in self._flights.all():
                flight.cancel.set()
            self._changed.notify_all()
        keys = sorted(self._engine.keys())
        write("info", "removing all instances", count=len(keys))
        with ThreadPoolExecutor(max_workers=_LEAVERS) as leavers:
            for _ in leavers.map(self._clear_quietly, keys):
                pass
        # What a start made in the meantime.
        for key in sorted(self._engine.keys()):
            self._clear_quietly(key)

    def _judge(self, key: Key, held: Held) -> None:
        template = self._templates.servers.get(key.server) if self._templates else None
        if time.monotonic() < self._resting.get(key, 0.0):
            return
        match verdict(held, self._entries.get(key), template, self._exports.keys()):
            case "stop":
                self._behind("stop", key, self._fly_stop)
            case "clean":
                self._behind("clean", key, self._fly_clean)
            case "adopt" if template is not None:
                self._adopt(key, held, template)
            case "gone":
                self._entries[key] = Entry(state="failed", reason="its container is gone")
            case "forget":
                del self._entries[key]

    def _adopt(self, key: Key, held: Held, template: Template) -> None:
        """Take in an instance that another launcher started; a young one may not have been ready at its end."""
        if held.instance is None:
            return
        owned, container = held.instance
        entry = Entry(
            state="running",
            url=url(address(held.networks[0]) or "", template),
            started_at=container.created,
            revision=owned.labels.get(REVISION_LABEL, ""),
            template=owned.labels.get(TEMPLATE_LABEL, ""),
            container=owned,
        )
        young = time.time() - container.created < template.start_seconds + _YOUNG_MARGIN_SECONDS
        if not young and not helpers(held, self._exports.keys()):
            self._entries[key] = entry
            return
        self._entries[key] = replace(entry, state="starting", url="")
        network = held.networks[0]
        in_the_way = helpers(held, self._exports.keys())
        self._behind("adopt", key, lambda key, _: self._fly_adopt(key, template, entry, network, in_the_way))

    def _behind(self, kind: Any, key: Key, work: Callable[[Key, Flight], None]) -> None:
        flight = self._flights.begin(key, kind, time.monotonic())

        def quietly() -> None:
            try:
                work(key, flight)
            except Failure as failure:
                with self._changed:
                    self._resting[key] = time.monotonic() + _REST_SECONDS
                write("error", f"{kind} failed", server=key.server, subject=key.subject, reason=failure.message)

        self._workers.submit(quietly)

    def _begin_start(self, key: Key, revision: str, template: Template) -> Flight:
        flight = self._flights.begin(key, "start", time.monotonic())
        self._entries[key] = Entry(state="starting", revision=revision, template=template.digest)
        self._changed.notify_all()
        return flight

    def _fly(self, order: Order, flight: Flight, *, replacing: bool) -> dict[str, Any]:
        key, began = order.key, time.monotonic()
        entry = None
        try:
            self._take_turn(order.templates, flight)
            try:
                # Also what an earlier launcher may have left half-made.
                self._clear(key, graceful=replacing)
                running = self._starter.start(order, flight.cancel)
            finally:
                self._give_turn()
            entry = Entry(
                state="running",
                url=running.url,
                started_at=running.started_at,
                revision=order.revision,
                template=order.template.digest,
                container=running.container,
            )
            write("info", "started", server=key.server, subject=key.subject, seconds=round(time.monotonic() - began, 3))
            return shown(key, entry, order.templates)
        except EngineError as error:
            flight.failure = Failure("engine", str(error), retry_seconds=1)
            raise self._failed_start(key, flight) from error
        except Failure as failure:
            flight.failure = failure
            raise self._failed_start(key, flight) from None
        except BaseException:
            flight.failure = Failure("engine", "the launcher failed; its log says more", retry_seconds=1)
            self._failed_start(key, flight)
            raise
        finally:
            self._land(key, flight, entry)

    def _failed_start(self, key: Key, flight: Flight) -> Failure:
        failure = flight.failure or Failure("engine", "the start failed")
        self._clear_quietly(key)
        if failure.code == "start-failed" and not flight.cancel():
            with self._changed:
                failure.retry_seconds = self._back_off.failed(key, failure, time.monotonic())
        write("warning", "start failed", server=key.server, subject=key.subject, code=failure.code)
        return failure

    def _land(self, key: Key, flight: Flight, entry: Entry | None) -> None:
        with self._changed:
            if entry is not None:
                self._entries[key] = entry
                self._back_off.reset(key)
            elif flight.failure is not None and not flight.cancel():
                self._entries[key] = Entry(state="failed", reason=flight.failure.message, log=flight.failure.log)
                self._placement.release(key)
            else:
                self._entries.pop(key, None)
                self._placement.release(key)
            self._flights.end(key, time.monotonic())
            self._changed.notify_all()
        self._look_again()

    def _fly_stop(self, key: Key, flight: Flight, *, with_volume: bool = False) -> None:
        try:
            self._clear(key, graceful=True, exports=with_volume)
            if with_volume:
                for volume in self._engine.volumes(key):
                    self._engine.remove_volume(volume)
                self._starter.forget_volume(key)
            write("info", "stopped", server=key.server, subject=key.subject, data=with_volume)
        except EngineError as error:
            flight.failure = Failure("engine", str(error), retry_seconds=1)
            raise flight.failure from error
        finally:
            self._drop(key)

    def _fly_clean(self, key: Key, flight: Flight) -> None:
        """Clear away what no longer runs, and keep why."""
        entry = None
        try:
            instance = self.container(key)
            if instance is not None:
                log = tuple(self._engine.last_lines(instance))
                entry = Entry(state="failed", reason=self._engine.ending(instance), log=log)
            self._clear(key, graceful=False)
            write("info", "cleaned up", server=key.server, subject=key.subject, reason=entry.reason if entry else "")
        except EngineError as error:
            raise Failure("engine", str(error)) from error
        finally:
            self._drop(key, entry)

    def _fly_adopt(
        self, key: Key, template: Template, entry: Entry, network: Owned, in_the_way: Sequence[Owned]
    ) -> None:
        landed = None
        try:
            if entry.container is not None:
                self._starter.await_again(self.templates(), template, entry.container, network, in_the_way)
            landed = entry
            write("info", "found again", server=key.server, subject=key.subject)
        except (Failure, EngineError) as error:
            write("warning", "found unready", server=key.server, subject=key.subject, reason=str(error))
            self._clear_quietly(key)
        finally:
            self._drop(key, landed)

    def _drop(self, key: Key, entry: Entry | None = None) -> None:
        with self._changed:
            if entry is not None:
                self._entries[key] = entry
            else:
                self._entries.pop(key, None)
            if entry is None or entry.state != "running":
                self._placement.release(key)
            self._flights.end(key, time.monotonic())
            self._changed.notify_all()
        self._look_again()

    def _clear(self, key: Key, *, graceful: bool, exports: bool = False) -> None:
        for container in self._engine.containers(key):
            if container.id in self._exports and not exports:
                continue
            if graceful and container.role == "instance":
                self._engine.stop(container)
            self._engine.remove(container)
        for network in self._engine.networks(key):
            self._engine.remove_network(network)

    def _clear_quietly(self, key: Key) -> None:
        try:
            self._clear(key, graceful=False)
        except EngineError as error:
            write("error", "not cleaned up", server=key.server, subject=key.subject, reason=str(error))

    def _take_turn(self, templates: Templates, flight: Flight) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._starting < templates.starts_at_once or flight.cancel() or self._leaving
            )
            flight.cancel.check()
            self._starting += 1

    def _give_turn(self) -> None:
        with self._changed:
            self._starting -= 1
            self._changed.notify_all()

    def _check_ready(self) -> None:
        if self._leaving:
            raise Failure("engine", "the launcher is leaving", retry_seconds=5)
        if not self._ready:
            raise Failure("engine", "the engine wasn't reached yet", retry_seconds=1)

    def _template(self, key: Key) -> tuple[Templates, Template]:
        template = self._templates.servers.get(key.server) if self._templates else None
        if self._templates is None or template is None:
            raise Failure("unknown-server", f"there is no template of a server {key.server}; run `pulumi up`")
        return self._templates, template

    def _differs(self, entry: Entry, template: Template, revision: str) -> bool:
        return entry.revision != revision or entry.template != template.digest

    def _check_limits(self, key: Key, templates: Templates) -> None:
        counted = {other for other, entry in self._entries.items() if entry.state in ("running", "stopping")}
        if refusal := beyond_limits(key, counted | self._flights.of_kind("start", "adopt"), templates):
            raise refusal

    def _check_back_off(self, key: Key, *, force: bool) -> None:
        if force:
            self._back_off.reset(key)
        elif refusal := self._back_off.refusal(key, time.monotonic()):
            raise refusal


def _filled(template: Template, values: Mapping[str, str]) -> Filled:
    try:
        return fill(template, values)
    except Unfillable as error:
        raise Failure("bad-request", str(error)) from None
