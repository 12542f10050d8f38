"""One start of an instance: made, filled, ready, and on the edge's side, or nothing of it left."""

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mcp_launcher import bodies
from mcp_launcher.allocation import Place
from mcp_launcher.failure import Failure
from mcp_launcher.frames import lines
from mcp_launcher.instance_engine import InstanceEngine, SubnetTaken, archive, status_of
from mcp_launcher.joins import Joins
from mcp_launcher.owned import Key, Owned, instance_name
from mcp_launcher.placeholders import Filled
from mcp_launcher.placement import Placement
from mcp_launcher.templates import Template, Templates
from mcp_launcher.transport import EngineError

EXTRA_SECONDS = 5.0
"""Given to an instance beyond its template's time, which the runner keeps by itself."""
JOIN_SECONDS = 30.0
_SUBNET_TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be started."""

    templates: Templates
    template: Template
    key: Key
    filled: Filled
    revision: str

    @property
    def name(self) -> str:
        """The instance's name."""
        return instance_name(self.template.name, self.key.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An instance that is ready."""

    container: Owned
    url: str
    started_at: int


@dataclass(slots=True)
class Cancel:
    """Says that a start is no longer wanted; whoever waits in it looks at least four times a second."""

    _event: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> bool:
        """Whether it is no longer wanted."""
        return self._event.is_set()

    def set(self) -> None:
        """End the start."""
        self._event.set()

    def check(self) -> None:
        """Raise when the start is no longer wanted."""
        if self():
            raise Failure("start-failed", "the start was ended because the instance is to be stopped", retry_seconds=0)


class Starter:
    """Starts instances. Any number of threads, one for each key."""

    def __init__(self, engine: InstanceEngine, placement: Placement, joins: Joins) -> None:
        self._engine = engine
        self._placement = placement
        self._joins = joins
        self._owners_set: set[Key] = set()

    def start(self, order: Order, cancel: Cancel) -> Running:
        """Start an instance and wait until it is ready.

        Raises:
            Failure: with the last lines of its log; what was made is still there and is the caller's to remove.
            EngineError: the engine can't be reached or refused.
        """
        began = int(time.time())
        owner = self._owner(order)
        cancel.check()
        network, place = self._network(order)
        cancel.check()
        if order.filled.files and order.template.bridge is None:
            self._deliver(order, owner)
        body = bodies.instance(
            order.templates.stack, order.template, order.key, place, owner, order.filled, order.revision
        )
        container = self._engine.create_container(order.name, body)
        cancel.check()
        if order.template.bridge is not None:
            self._run_bridged(order, container, cancel)
        else:
            self._run(container)
            self._await_answer(order.templates, order.template, container, owner, cancel)
        self._await_edge(network, cancel)
        return Running(container=container, url=url(place.address, order.template), started_at=began)

    def await_again(
        self,
        templates: Templates,
        template: Template,
        container: Owned,
        network: Owned,
        helpers: Sequence[Owned],
        cancel: Cancel,
    ) -> None:
        """Wait for an instance that another launcher had started and perhaps not finished; `helpers` are in the way.

        Raises:
            Failure: it doesn't become ready.
        """
        for helper in helpers:
            self._engine.remove(helper)
        if template.bridge is not None:
            with self._engine.log(container, 99_999, follow=True) as stream:
                self._await_listening(template, container, stream, cancel)
        else:
            uid = container.uid or 0
            owner = template.user or (uid, uid)
            self._await_answer(templates, template, container, owner, cancel)
        self._await_edge(network, cancel)

    def is_reachable(self, container: Owned) -> bool:
        """Whether an instance runs; waits for the edge to be on its network.

        Raises:
            Failure: the edge doesn't come.
        """
        if not self._engine.runs(container):
            return False
        for network in self._engine.networks(container.key):
            self._await_edge(network, Cancel())
        return True

    def forget_volume(self, key: Key) -> None:
        """Note that a key's volume is gone."""
        self._owners_set.discard(key)

    def _owner(self, order: Order) -> tuple[int, int]:
        owner = self._placement.owner(order.templates, order.template, order.key)
        if owner is None:
            raise Failure("engine", "every uid of the range is taken; give the stack a larger one")
        if order.template.volume_path is None:
            return owner
        body = bodies.volume(order.templates.stack, order.template, order.key, owner[0])
        volume = self._engine.create_volume(body)
        if order.template.user is None and volume.uid is not None:
            owner = (volume.uid, volume.uid)
        if order.key not in self._owners_set:
            self._own(order, volume, owner)
            self._owners_set.add(order.key)
        return owner

    def _own(self, order: Order, volume: Owned, owner: tuple[int, int]) -> None:
        """Give the volume's root its owner: the engine makes it root's."""
        body = bodies.keeper(
            order.templates.stack, order.templates.ready_image, order.key, volume.name, read_only=False
        )
        keeper = self._engine.create_container(f"{order.name}-keeper", body)
        try:
            self._engine.put(keeper, "/", archive([(bodies.KEPT.strip("/"), None)], owner))
        finally:
            self._engine.remove(keeper)

    def _network(self, order: Order) -> tuple[Owned, Place]:
        for tried, place in enumerate(self._placement.places(order.templates, order.key)):
            body = bodies.network(order.templates.stack, order.template, order.key, place)
            try:
                return self._engine.create_network(body), place
            except SubnetTaken:
                if tried >= _SUBNET_TRIES:
                    break
        raise Failure("engine", "no addresses are free in the stack's range; give it a larger one")

    def _deliver(self, order: Order, owner: tuple[int, int]) -> None:
        body = bodies.delivery(order.templates.stack, order.templates.ready_image, order.key)
        delivery = self._engine.create_container(f"{order.name}-delivery", body)
        files = [(f"files/{name}", text.encode()) for name, text in sorted(order.filled.files.items())]
        self._engine.put(delivery, bodies.SECRETS, archive([("files", None), *files], owner))

    def _run_bridged(self, order: Order, container: Owned, cancel: Cancel) -> None:
        with self._engine.attach(container) as stream:
            self._run(container)
            try:
                stream.sendall(bodies.runner_document(order.template, order.filled))
                stream.shutdown(socket.SHUT_WR)
            except OSError:
                # It ended before it had read all: its log says why.
                raise self._ended(container) from None
            self._await_listening(order.template, container, stream, cancel)

    def _run(self, container: Owned) -> None:
        try:
            self._engine.start(container)
        except EngineError as error:
            if error.status not in (400, 500):
                raise
            raise Failure("start-failed", f"the engine couldn't run it: {error}") from error

    def _await_listening(self, template: Template, container: Owned, stream: socket.socket, cancel: Cancel) -> None:
        read = patient(stream, template.start_seconds + EXTRA_SECONDS, cancel)
        try:
            for line in lines(read):
                if says_listening(line):
                    return
        except TimeoutError:
            cancel.check()
            raise self._late(template, container) from None
        except OSError as error:
            raise EngineError(f"the engine's stream of an instance broke off: {error}") from error
        cancel.check()
        raise self._ended(container)

    def _await_answer(
        self, templates: Templates, template: Template, container: Owned, owner: tuple[int, int], cancel: Cancel
    ) -> None:
        """Have the one-shot beside the instance ask until it answers, unless one of the two ends."""
        body = bodies.ready(
            templates.stack,
            templates.ready_image,
            templates.ready_script,
            template,
            container.key,
            owner,
            container.id,
        )
        try:
            asking = self._engine.create_container(f"{container.name}-ready", body)
            self._engine.start(asking)
        except EngineError as error:
            # An instance that has ended already has no network to ask in.
            if not self._engine.runs(container):
                raise self._ended(container) from error
            raise
        try:
            with self._engine.wait(asking) as asked, self._engine.wait(container) as ended:
                first = first_readable((asked, ended), template.start_seconds + EXTRA_SECONDS, cancel)
                cancel.check()
                if first is asked and status_of(asked) == 0:
                    return
                if first is ended or (first is asked and first_readable((ended,), 0.1, cancel)):
                    raise self._ended(container)
            said = "; ".join(self._engine.last_lines(asking)[-1:])
            raise self._late(template, container, said)
        finally:
            self._engine.remove(asking)

    def _await_edge(self, network: Owned, cancel: Cancel) -> None:
        joined = self._joins.wait(network.id, JOIN_SECONDS, cancel)
        cancel.check()
        if not joined:
            raise Failure("engine", f"the edge didn't join the instance's network within {JOIN_SECONDS:g} s")

    def _ended(self, container: Owned) -> Failure:
        log = self._engine.last_lines(container)
        return Failure("start-failed", f"{self._engine.ending(container)} before it was ready", log=log)

    def _late(self, template: Template, container: Owned, said: str = "") -> Failure:
        message = f"it was not ready within {template.start_seconds} s" + (f": {said}" if said else "")
        return Failure("start-failed", message, log=self._engine.last_lines(container))


def url(address: str, template: Template) -> str:
    """Return where an instance is reached."""
    return f"http://{address}:{template.port}{template.path}"


def says_listening(line: str) -> bool:
    """Whether a line is the runner's own word that it listens: lines of the program that it runs carry a session."""
    if "listening on" not in line:
        return False
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return (
        isinstance(entry, Mapping)
        and entry.get("session") == ""
        and entry.get("level") == "info"
        and str(entry.get("text")).startswith("listening on ")
    )


def patient(stream: socket.socket, seconds: float, cancel: Callable[[], bool]) -> Callable[[int], bytes]:
    """Return a reader of a stream that raises TimeoutError when the time is up or the start is cancelled."""
    until = time.monotonic() + seconds

    def read(count: int) -> bytes:
        if first_readable((stream,), until - time.monotonic(), cancel) is None:
            raise TimeoutError
        return stream.recv(count)

    return read


def first_readable(
    streams: tuple[socket.socket, ...], seconds: float, cancel: Callable[[], bool]
) -> socket.socket | None:
    """Return the first stream on which something has come, None when the time is up or the start is cancelled."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not cancel():
        readable, _, _ = select.select(streams, (), (), min(0.25, left))
        if readable:
            return next(stream for stream in streams if stream in readable)
    return None
