"""Everyone's first request at once, what the instances then take, and calls while nothing can start any more."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import docker
import httpx
from docker.models.containers import Container

from benchmarks.instances.stack import STACK
from benchmarks.runner.load import Session
from tests.conformance.one_call import META, VERSION

MIB = 1024 * 1024
TOOL = "read_graph"
FIRST_SECONDS = 290.0
"""The edge waits 300 s for an answer."""


@dataclass(frozen=True, slots=True)
class Warm:
    """Tool calls in sessions that exist, with the control side and the launcher paused."""

    calls_ms: list[float]

    @property
    def p50(self) -> float:
        """The median call in milliseconds."""
        return statistics.median(self.calls_ms)

    @property
    def p99(self) -> float:
        """The 99th percentile in milliseconds."""
        return sorted(self.calls_ms)[int(len(self.calls_ms) * 0.99)]


async def first_requests(url: str, tokens: Mapping[str, str]) -> list[float]:
    """Seconds from each user's first request to its answer, all sent at once. Raises when one isn't served."""
    limits = httpx.Limits(max_connections=len(tokens))
    async with httpx.AsyncClient(timeout=FIRST_SECONDS, limits=limits) as http:
        return list(await asyncio.gather(*(_first(http, url, token) for token in tokens.values())))


async def _first(http: httpx.AsyncClient, url: str, token: str) -> float:
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": TOOL,
    }
    params = {"name": TOOL, "arguments": {}, "_meta": META}
    began = perf_counter()
    answer = await http.post(
        url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers=headers
    )
    taken = perf_counter() - began
    if answer.status_code != 200 or '"entities' not in answer.text.replace("\\", ""):
        raise RuntimeError(f"not served after {taken:.1f} s: {answer.status_code} {answer.text[:500]}")
    return taken


def instances() -> list[Container]:
    """The instances that the stack has."""
    labels = [f"mcp-hosting.stack={STACK}", "mcp-hosting.role=instance"]
    return docker.from_env(max_pool_size=16).containers.list(all=True, filters={"label": labels})


def memory(containers: list[Container]) -> list[float]:
    """MiB of each, without page cache that can be given back."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(_used, containers))


def _used(container: Container) -> float:
    stats = cast("dict[str, Any]", container.stats(stream=False, one_shot=True))["memory_stats"]
    reclaimable = stats["stats"].get("inactive_file", stats["stats"].get("total_inactive_file", 0))
    return float((stats["usage"] - reclaimable) / MIB)


async def warm_calls(url: str, tokens: Mapping[str, str], rounds: int) -> Warm:
    """Each user calls in turn, `rounds` times, while whatever could start an instance is paused. Raises when a call
    isn't answered.
    """
    sessions = [Session(url, {"Authorization": f"Bearer {token}"}) for token in tokens.values()]
    taken = []
    try:
        for session in sessions:
            await session.open()
        with paused("gateway-control", "gateway-launcher"):
            for _ in range(rounds):
                for session in sessions:
                    began = perf_counter()
                    await session.request("tools/call", {"name": TOOL, "arguments": {}})
                    taken.append((perf_counter() - began) * 1000)
    finally:
        for session in sessions:
            session.close()
    return Warm(taken)


@contextlib.contextmanager
def paused(*parts: str) -> Iterator[None]:
    """Containers of the gateway are frozen meanwhile."""
    engine = docker.from_env()
    frozen = []
    try:
        for part in parts:
            container = engine.containers.get(f"mcp-{STACK}-{part}")
            container.pause()
            frozen.append(container)
        yield
    finally:
        for container in frozen:
            container.unpause()
