"""What nobody asks for: finding instances again, clearing away what died, stopping what has no template, leaving."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mcp_launcher.board import Board, note
from mcp_launcher.failure import Failure
from mcp_launcher.flights import Flight, Kind
from mcp_launcher.instance_engine import InstanceEngine
from mcp_launcher.instances import Instances
from mcp_launcher.inventory import Held, Look, address
from mcp_launcher.log import write
from mcp_launcher.owned import REVISION_LABEL, TEMPLATE_LABEL, Key, Owned
from mcp_launcher.placement import Placement
from mcp_launcher.starting import Starter, url
from mcp_launcher.table import Entry
from mcp_launcher.templates import Template, Templates
from mcp_launcher.transport import EngineError, Transport
from mcp_launcher.verdict import helpers, verdict

YOUNG_SECONDS = 30
"""An instance that is this much older than the time it may take to get ready is taken for ready."""
REST_SECONDS = 10.0
"""What couldn't be cleared away is let alone so long."""
LAST_LANDING_SECONDS = 20.0
_WORKERS = 4
_LEAVERS = 8


class Upkeep:
    """Acts on looks, a few instances at a time, behind the loop's back so that it can go on."""

    def __init__(
        self,
        transport: Transport,
        board: Board,
        engine: InstanceEngine,
        placement: Placement,
        starter: Starter,
        instances: Instances,
        look_again: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._board = board
        self._engine = engine
        self._placement = placement
        self._starter = starter
        self._instances = instances
        self._look_again = look_again
        self._resting: dict[Key, float] = {}
        self._workers = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="upkeep")

    def follow_templates(self, templates: Templates) -> None:
        """Put templates in force. Instances of servers that are no longer there are stopped at the next look."""
        self._transport.follow_templates(templates)
        with self._board.changed:
            self._board.templates = templates
            self._board.changed.notify_all()
        self._look_again()

    def saw(self, look: Look, began: float) -> None:
        """Take in a look that began then (seconds, monotonic), and begin what it calls for."""
        self._placement.saw(look)
        board = self._board
        with board.changed:
            if board.leaving:
                return
            # Without templates it can't be said what belongs there: nothing is touched before they are read.
            if board.templates is not None:
                for key in look.held.keys() | board.entries.keys():
                    if board.flights.untouched_since(key, began) and self._resting.get(key, 0.0) < began:
                        self._judge(key, look.held.get(key, Held()), board.templates.servers.get(key.server))
            board.flights.forget_before(began)
            self._resting = {key: until for key, until in self._resting.items() if until > began}
            board.looked = True
            board.changed.notify_all()

    def leave(self) -> None:
        """End every start, and remove every instance with its network. Volumes stay."""
        with self._board.changed:
            self._board.leaving = True
            under_way = self._board.flights.all()
        for flight in under_way:
            self._board.cancel(flight)
        self._clear_all()
        until = time.monotonic() + LAST_LANDING_SECONDS
        for flight in under_way:
            flight.done.wait(max(0.0, until - time.monotonic()))
        # What starts had made in the meantime.
        self._clear_all()

    def _clear_all(self) -> None:
        keys = sorted(self._engine.keys())
        write("info", "removing all instances", count=len(keys))
        with ThreadPoolExecutor(max_workers=_LEAVERS) as leavers:
            list(leavers.map(self._board.clear_quietly, keys))

    def _judge(self, key: Key, held: Held, template: Template | None) -> None:
        board = self._board
        match verdict(held, board.entries.get(key), template, board.exports):
            case "stop":
                self._behind(key, "stop", None, lambda flight: self._instances.carry_out_stop(key, flight))
            case "clean":
                self._behind(key, "clean", None, lambda _: self._clean(key))
            case "adopt" if template is not None:
                self._adopt(key, held, template)
            case "gone":
                board.entries[key] = Entry(state="failed", reason="its container is gone")
            case "forget":
                del board.entries[key]

    def _adopt(self, key: Key, held: Held, template: Template) -> None:
        """Take in an instance that another launcher started; a young one may not have been ready at its end."""
        if held.instance is None:
            return
        owned, container = held.instance
        network, in_the_way = held.networks[0], helpers(held, self._board.exports)
        entry = Entry(
            state="running",
            url=url(address(network) or "", template),
            started_at=container.created,
            revision=owned.labels.get(REVISION_LABEL, ""),
            template=owned.labels.get(TEMPLATE_LABEL, ""),
            container=owned,
        )
        if time.time() - container.created > template.start_seconds + YOUNG_SECONDS and not in_the_way:
            self._board.entries[key] = entry
            return
        unready = replace(entry, state="starting", url="")
        self._behind(
            key,
            "adopt",
            unready,
            lambda flight: self._await_again(key, flight, template, entry, owned, network, in_the_way),
        )

    def _behind(self, key: Key, kind: Kind, entry: Entry | None, work: Callable[[Flight], None]) -> None:
        flight = self._board.begin(key, kind, entry)

        def quietly() -> None:
            try:
                work(flight)
            except Exception as error:  # a worker has nobody to raise it to
                with self._board.changed:
                    self._resting[key] = time.monotonic() + REST_SECONDS
                note("error", f"{kind} failed", key, reason=f"{type(error).__name__}: {error}")

        self._workers.submit(quietly)

    def _clean(self, key: Key) -> None:
        """Clear away what no longer runs, and keep why."""
        landed = None
        try:
            instance = self._board.container(key)
            if instance is not None:
                log = tuple(self._engine.last_lines(instance))
                landed = Entry(state="failed", reason=self._engine.ending(instance), log=log)
            self._board.clear(key, graceful=False)
            note("info", "cleared away", key, reason=landed.reason if landed else "it was never finished")
        finally:
            self._board.land(key, landed)

    def _await_again(
        self,
        key: Key,
        flight: Flight,
        template: Template,
        entry: Entry,
        container: Owned,
        network: Owned,
        in_the_way: Sequence[Owned],
    ) -> None:
        landed = None
        try:
            templates = self._instances.templates()
            self._starter.await_again(templates, template, container, network, in_the_way, flight.cancel)
            landed = entry
            note("info", "found again", key)
        except (Failure, EngineError) as error:
            note("warning", "found unready", key, reason=str(error))
            self._board.clear_quietly(key)
        finally:
            self._board.land(key, landed)
