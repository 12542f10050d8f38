"""Which child serves whom: probing, the legacy sessions, and the children that serve the modern era.

The first child is probed with `initialize` (and, if it refuses that, `server/discover`). It then is the shared child,
or waits for the first session, whose own `initialize` it gets as well; a child that refuses a second one is replaced by
a fresh one.

A server built on a current SDK speaks both eras, but each process only the one of its first request. So the modern era
gets children of its own: with `session: own` one for each user and client (the edge's identity headers), so that
nobody's requests meet anybody else's in one process; it is asked `server/discover` first, and gets `initialize` if it
doesn't know that. With `session: shared` the one child serves everyone, translated.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from mcp_runner.child import Child
from mcp_runner.config import RunnerConfig
from mcp_runner.eras import discover_request, initialization, initialize_request, is_modern_discovery
from mcp_runner.link import Link, Party
from mcp_runner.log import log
from mcp_runner.messages import Message

Owner = tuple[bytes | None, bytes | None]
"""The user and client that the edge vouches for, absent without an edge."""
_DISCOVER_SECONDS = 10.0
_LAST_SECONDS = 1.5
_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)


class HostError(Exception):
    """A child can't be had; the text is for the client and holds nothing of the environment."""

    def __init__(self, text: str, status: int = 502):
        super().__init__(text)
        self.status = status


@dataclass(slots=True, eq=False)
class Peer:
    """A child that has been opened in one era, with its `initialize` or `server/discover` result."""

    link: Link
    modern: bool
    facts: Message
    touched: float = 0.0


@dataclass(slots=True, eq=False)
class Session:
    """A legacy session. `translated` is the client's info and capabilities where the child speaks the modern era
    only."""

    id: str
    label: str
    owner: Owner
    link: Link
    party: Party
    touched: float
    translated: tuple[Message, Message] | None = None


@dataclass(eq=False)
class Host:
    """All children of this runner."""

    config: RunnerConfig
    sessions: dict[bytes, Session] = field(default_factory=dict)
    peers: dict[Owner, Peer] = field(default_factory=dict)
    ready: bool = False
    closing: bool = False
    _first: Peer | None = None
    _legacy: bool = True
    _modern: bool | None = None
    _opening: dict[Owner, asyncio.Future[Peer]] = field(default_factory=dict)
    _links: set[Link] = field(default_factory=set)
    _starting: int = 0
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def start(self) -> None:
        """Start the first child and wait until it has answered. Raises HostError."""
        link = await self._spawn("first" if not self.config.shared else "shared", shared=self.config.shared)
        answer = await self._ask(link, initialize_request(0))
        if "result" in answer:
            peer = Peer(link, modern=False, facts=answer["result"])
        else:
            answer = await self._ask(link, discover_request(0))
            if not is_modern_discovery(answer):
                self._discard(link)
                raise HostError("the server answers neither initialize nor server/discover")
            peer = Peer(link, modern=True, facts=answer["result"])
            self._legacy, self._modern = False, True
        if self.config.shared and not peer.modern:
            link.notify(Party(), {"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._first = peer
        self.ready = True

    async def open_session(self, message: Message, owner: Owner) -> tuple[Session | None, Message]:
        """Open a session for a client's `initialize`; returns it and the response, without a session when the child
        refused."""
        if self.closing:
            raise HostError("the server is going down", 503)
        if self._full(owner):
            raise HostError(f"all {self.config.max_sessions} sessions of this server are in use", 503)
        id, label = base64.urlsafe_b64encode(os.urandom(33)).decode(), os.urandom(4).hex()
        self._starting += 1
        try:
            link, answer, translated = await self._open_child(dict(message), label)
        finally:
            self._starting -= 1
        if not link.child.alive:
            raise HostError("the server process ended while it started")
        session = Session(id, label, owner, link, Party(), self._now(), translated)
        if "result" not in answer:
            self._discard(link)
            return None, answer
        link.parties.add(session.party)
        self.sessions[id.encode()] = session
        if not self.config.shared:
            link.child.label = label

            def touch() -> None:
                session.touched = self._now()

            link.on_traffic = touch
        log("info", "session opened", label)
        return session, answer

    def _full(self, owner: Owner) -> bool:
        """Say whether there is no place for one more session of this user.

        At the cap one who holds more than the asking user would gives up the session that was idle longest: nobody can
        take every place.
        """
        count = len(self.sessions) + len(self.peers) + len(self._opening) + self._starting
        if count < self.config.max_sessions:
            return False
        held = Counter(session.owner[0] for session in self.sessions.values())
        user, most = held.most_common(1)[0] if held else (None, 0)
        idle = [each for each in self.sessions.values() if each.owner[0] == user and not each.party.replies]
        if not idle or most <= held[owner[0]] + 1:
            return True
        self.end_session(min(idle, key=lambda session: session.touched), "another user needs its place")
        return False

    async def _open_child(self, message: Message, label: str) -> tuple[Link, Message, tuple[Message, Message] | None]:
        id, params = message["id"], message.get("params") or {}
        if self.config.shared or not self._legacy:
            peer = self._shared_peer() if self.config.shared else self._take_first() or await self._discovered(label)
            translated = (params.get("clientInfo") or {}, params.get("capabilities") or {}) if peer.modern else None
            result = initialization(peer.facts, params.get("protocolVersion")) if peer.modern else peer.facts
            return peer.link, {"jsonrpc": "2.0", "id": id, "result": result}, translated
        first = self._take_first()
        if first is not None:
            answer = await self._ask(first.link, {**message})
            if "result" in answer:
                return first.link, {**answer, "id": id}, None
            self._discard(first.link)
        link = await self._spawn(label, shared=False)
        try:
            answer = await self._ask(link, {**message})
        except BaseException:
            self._discard(link)
            raise
        return link, {**answer, "id": id}, None

    def _shared_peer(self) -> Peer:
        if self._first is None:
            raise HostError("the server process is starting again", 503)
        return self._first

    def _take_first(self) -> Peer | None:
        """Return the probed child if it is still there for the taking."""
        first, self._first = self._first, None
        return first if first is not None and first.link.child.alive else None

    async def _discovered(self, label: str) -> Peer:
        link = await self._spawn(label, shared=False)
        answer = await self._ask(link, discover_request(0))
        if not is_modern_discovery(answer):
            self._discard(link)
            raise HostError("the server refused server/discover")
        return Peer(link, modern=True, facts=answer["result"])

    def end_session(self, session: Session, reason: str) -> None:
        """Forget a session, end its streams, and its child if that was its own."""
        if self.sessions.pop(session.id.encode(), None) is None:
            return
        log("info", f"session ended: {reason}", session.label)
        session.link.parties.discard(session.party)
        if session.party.stream is not None:
            session.party.stream.close()
        if not self.config.shared:
            self._discard(session.link)

    async def peer(self, owner: Owner) -> Peer:
        """Return the child that serves a user's requests of the modern era, started where there is none. Raises
        HostError."""
        if self.closing:
            raise HostError("the server is going down", 503)
        if self.config.shared:
            return self._shared_peer()
        opening = self._opening.get(owner)
        if opening is None:
            if self._full(owner):
                raise HostError(f"all {self.config.max_sessions} sessions of this server are in use", 503)
            opening = self._opening[owner] = asyncio.ensure_future(self._open_peer(owner))
            opening.add_done_callback(lambda future: self._opening.pop(owner, None))
        return await asyncio.shield(opening)

    async def _open_peer(self, owner: Owner) -> Peer:
        label = "modern-" + os.urandom(4).hex()
        peer = self._take_first() if not self._legacy or self._modern is False else None
        if peer is not None:
            peer.link.shared = True
            peer.link.child.label = label
            if not peer.modern:
                peer.link.notify(Party(), {"jsonrpc": "2.0", "method": "notifications/initialized"})
        else:
            link = await self._spawn(label, shared=True)
            try:
                peer = await self._negotiate(link)
            except BaseException:
                self._discard(link)
                raise
        peer.touched = self._now()
        self.peers[owner] = peer
        return peer

    async def _negotiate(self, link: Link) -> Peer:
        if self._modern is not False:
            try:
                answer = await asyncio.wait_for(link.ask(discover_request(0)), _DISCOVER_SECONDS)
            except TimeoutError:
                answer = {}
            if is_modern_discovery(answer):
                self._modern = True
                return Peer(link, modern=True, facts=answer["result"])
            self._modern = False
        answer = await self._ask(link, initialize_request(0))
        if "result" not in answer:
            raise HostError("the server refused to initialize")
        link.notify(Party(), {"jsonrpc": "2.0", "method": "notifications/initialized"})
        return Peer(link, modern=False, facts=answer["result"])

    async def _spawn(self, label: str, *, shared: bool) -> Link:
        child = Child(label)
        link = Link(child, shared=shared)
        link.on_gone = lambda: self._lost(link)
        try:
            await child.start(self.config.command, self.config.env, self.config.cwd)
        except OSError as error:
            raise HostError(f"the server's program can't be started: {error.strerror}") from None
        self._links.add(link)
        return link

    async def _ask(self, link: Link, message: Message) -> Message:
        try:
            return await asyncio.wait_for(link.ask(message), self.config.startup_seconds)
        except TimeoutError:
            link.child.kill("it didn't answer in time")
            raise HostError(f"the server didn't answer within {self.config.startup_seconds:g} s") from None

    def _lost(self, link: Link) -> None:
        self._links.discard(link)
        for session in [each for each in self.sessions.values() if each.link is link]:
            self.end_session(session, "the server process has ended")
        for owner in [owner for owner, peer in self.peers.items() if peer.link is link]:
            del self.peers[owner]
        if self._first is not None and self._first.link is link:
            self._first = None
            if self.config.shared and not self.closing:
                self.ready = False
                self._run(self._restart())

    async def _restart(self) -> None:
        """Bring the shared child back, ever more slowly; not ready meanwhile."""
        attempt = 0
        while not self.closing:
            await asyncio.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
            attempt += 1
            try:
                await self.start()
                return
            except HostError as error:
                log("error", f"the shared server didn't start again: {error}")

    def sweep(self) -> None:
        """End what has been idle for too long."""
        limit = self._now() - self.config.idle_seconds
        for session in [each for each in self.sessions.values() if each.touched < limit and not each.party.replies]:
            self.end_session(session, "idle")
        for owner, peer in [each for each in self.peers.items() if each[1].touched < limit]:
            if not peer.link.replies():
                del self.peers[owner]
                self._discard(peer.link)

    def replies(self) -> list[Any]:
        """Return every open answer and stream."""
        streams = [each.party.stream for each in self.sessions.values() if each.party.stream is not None]
        return [*streams, *(reply for link in self._links for reply in link.replies())]

    async def close(self) -> None:
        """End every child politely."""
        self.closing = True
        self.ready = False
        await asyncio.gather(*(link.child.stop(_LAST_SECONDS) for link in tuple(self._links)))

    def _discard(self, link: Link) -> None:
        self._run(link.child.stop())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
