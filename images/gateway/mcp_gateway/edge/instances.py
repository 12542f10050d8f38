"""Users' instances that are ready (docs/contracts.md, section 9): found by server and verified subject, nothing else.

An instance has connections of its own, so that none passes from one user to another, whatever address comes again.
What a start answered stands until a table that was asked for later says otherwise: an older one can't know of it.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcp_wire.http_client import Pool, Target

from mcp_gateway.documents.fields import Fields
from mcp_gateway.edge.document import DocumentError, Upstream, upstream_at
from mcp_gateway.edge.upstreams import edge_address

CONNECT_SECONDS = 2.0
"""An instance is on the same machine, or there is no way to it yet."""

Key = tuple[str, str]
"""Server's id and subject."""


class Use:
    """How this worker uses an instance: `open` POSTs under way, `last` the monotonic time at which one began or
    ended."""

    __slots__ = ("last", "open")

    def __init__(self) -> None:
        self.open = 0
        self.last = time.monotonic()


class Instance:
    """One user's instance. `since` is the monotonic time of the start that told of it, 0 when a table did.

    It is `suspect` when a connection broke: the next request that may start one asks whether it is still there.
    """

    __slots__ = ("key", "pool", "since", "suspect", "upstream", "url", "use")

    def __init__(self, key: Key, url: str, upstream: Upstream, use: Use):
        self.key = key
        self.url = url
        self.upstream = upstream
        self.use = use
        self.since = 0.0
        self.suspect = False
        target = Target(upstream.name, upstream.port, source=edge_address(upstream.name))
        self.pool = Pool(target, connect_seconds=CONNECT_SECONDS)


class Instances:
    """The instances of one worker. `warm` is what calls look up; `known` turns true with the first table.

    `withdrawn` is called with instances that may not be used any more, after they left `warm`.
    """

    def __init__(self, withdrawn: Callable[[Sequence[Instance]], None], first: Callable[[], None]):
        self.warm: dict[Key, Instance] = {}
        self.known = False
        self._withdrawn = withdrawn
        self._first = first
        self._table: Mapping[Key, str] = {}
        self._uses: dict[Key, Use] = {}

    def take(self, raw: Any, asked: float) -> str:
        """Put a table in force and give its version; raises DocumentError for one that isn't right."""
        version, table = read_table(raw)
        kept = {key: instance for key, instance in self.warm.items() if instance.since > asked}
        places = {_place(instance.upstream) for instance in kept.values()}
        for key, (url, upstream) in table.items():
            if key in kept or _place(upstream) in places:
                continue
            before = self.warm.get(key)
            kept[key] = before if before is not None and before.url == url else self._instance(key, url, upstream)
        self._table = {key: url for key, (url, _) in table.items()}
        self._replace(kept)
        if not self.known:
            self.known = True
            self._first()
        return version

    def unchanged(self, asked: float) -> None:
        """Let go of instances that only a start told of, before `asked`: they are gone by now."""
        self._replace(
            {
                key: instance
                for key, instance in self.warm.items()
                if instance.since > asked or self._table.get(key) == instance.url
            }
        )

    def started(self, key: Key, url: str) -> Instance:
        """Take in what a start answered; raises DocumentError when `url` isn't an instance's."""
        upstream = instance_upstream(url)
        now = time.monotonic()
        instance = self.warm.get(key)
        if instance is None or instance.url != url:
            instance = self._instance(key, url, upstream)
        instance.since = now
        instance.suspect = False
        place = _place(upstream)
        # An address that is someone's now is nobody else's any more, even if no table has said so yet.
        kept = {other: each for other, each in self.warm.items() if _place(each.upstream) != place}
        self._replace({**kept, key: instance})
        return instance

    def lose(self, key: Key, url: str) -> None:
        """Don't use an instance any more that couldn't be reached, and of which there is no other."""
        if (instance := self.warm.get(key)) is not None and instance.url == url:
            self._replace({other: each for other, each in self.warm.items() if other != key})

    def uses(self) -> Mapping[Key, Use]:
        """Each instance's use, by server and subject; of those that are gone only while calls are under way."""
        self._uses = {key: use for key, use in self._uses.items() if key in self.warm or use.open}
        return self._uses

    def expire(self) -> None:
        """Close connections that have been idle for too long."""
        for instance in self.warm.values():
            instance.pool.expire()

    def _instance(self, key: Key, url: str, upstream: Upstream) -> Instance:
        # The use that is reported is of the same name, whichever container had it before.
        return Instance(key, url, upstream, self._uses.get(key) or Use())

    def used(self, instance: Instance) -> Use:
        """The use of an instance, from now on among those that are reported."""
        self._uses[instance.key] = instance.use
        return instance.use

    def _replace(self, warm: dict[Key, Instance]) -> None:
        gone = [instance for key, instance in self.warm.items() if warm.get(key) is not instance]
        self.warm = warm
        for instance in gone:
            instance.pool.shut()
        if gone:
            self._withdrawn(gone)


def read_table(raw: Any) -> tuple[str, dict[Key, tuple[str, Upstream]]]:
    """A table's version and its instances; raises DocumentError with every problem."""
    if not isinstance(raw, dict):
        raise DocumentError("the table of instances must be an object")
    problems: list[str] = []
    fields = Fields(raw, "", problems)
    version = fields.text("version")
    table: dict[Key, tuple[str, Upstream]] = {}
    places = set()
    for entry in fields.children("instances"):
        key = (entry.text("server"), entry.text("subject"))
        url = entry.text("url")
        entry.done()
        try:
            upstream = instance_upstream(url)
        except DocumentError as error:
            entry.problem("url", str(error))
            continue
        if key in table:
            entry.problem("subject", "has two instances of the server")
        if _place(upstream) in places:
            entry.problem("url", "leads to another user's instance")
        places.add(_place(upstream))
        table[key] = url, upstream
    fields.done()
    if problems:
        raise DocumentError("; ".join(problems))
    return version, table


def instance_upstream(url: str) -> Upstream:
    """Where an instance is; raises DocumentError unless it is http at an address: a name could lead elsewhere."""
    upstream = upstream_at(url, "private", None)
    if isinstance(upstream, str):
        raise DocumentError(upstream)
    try:
        ipaddress.ip_address(upstream.name)
    except ValueError as error:
        raise DocumentError("must have an address, not a name") from error
    if upstream.scheme != "http":
        raise DocumentError("must be http")
    return upstream


def _place(upstream: Upstream) -> tuple[str, int]:
    return ipaddress.ip_address(upstream.name).compressed, upstream.port
