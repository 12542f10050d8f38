"""The connections to servers: a pool for each place, kept when a new document names the same place."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable

from mcp_wire.http_client import Pool, Target, tls_context

from mcp_gateway.edge.document import DocumentError, Upstream


class Upstreams:
    """Pools by upstream; `prepare` before a document is put in force, `keep` after."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str, int, str, str | None], Pool] = {}
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    def pool(self, upstream: Upstream) -> Pool:
        """The pool for an upstream that was prepared."""
        return self._pools[_place(upstream)]

    def prepare(self, upstreams: Iterable[Upstream | None]) -> None:
        """Make what is missing; raises DocumentError when an authority's file can't be read."""
        for upstream in upstreams:
            if upstream is None:
                continue
            place = _place(upstream)
            if place not in self._pools:
                tls = self._context(upstream.ca_file) if upstream.scheme == "https" else None
                source = edge_address(upstream.name) if upstream.reach == "private" else None
                target = Target(upstream.name, upstream.port, tls=tls, public=upstream.reach == "public", source=source)
                self._pools[place] = Pool(target)

    def keep(self, upstreams: Iterable[Upstream | None]) -> None:
        """Let go of pools that no route names; answers under way end as they would."""
        named = {_place(upstream) for upstream in upstreams if upstream is not None}
        for place in self._pools.keys() - named:
            self._pools.pop(place).shut()

    def expire(self) -> None:
        """Close what has been idle for too long."""
        for pool in self._pools.values():
            pool.expire()

    def _context(self, ca_file: str | None) -> ssl.SSLContext:
        if ca_file not in self._contexts:
            try:
                self._contexts[ca_file] = tls_context(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise DocumentError(f"caFile {ca_file}: can't be read as certificates: {error}") from error
        return self._contexts[ca_file]


def edge_address(server: str) -> str | None:
    """The edge's own address on the network of a server or instance (docs/contracts.md, section 7), None for a name.

    Calls go out from it. While that network isn't there, the same call would else leave by the default route, to
    whoever has the server's address outside.
    """
    try:
        return str(ipaddress.IPv4Address(server) + 1)
    except ValueError:
        return None


def _place(upstream: Upstream) -> tuple[str, str, int, str, str | None]:
    return (upstream.scheme, upstream.name, upstream.port, upstream.reach, upstream.ca_file)
