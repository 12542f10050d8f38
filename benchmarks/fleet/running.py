"""What the deployed fleet costs and how it answers: memory from the containers' cgroups, calls through the gateway."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import docker
from docker.models.containers import Container

from benchmarks.fleet.stack import LABEL, LOGIN
from benchmarks.runner.load import Session
from tests.e2e.sign_in import Person, chromium

MIB = 1024 * 1024
TOOL = "sequentialthinking"
THOUGHT = {"thought": "one", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB without page cache that can be given back: a server at rest, and the parts of the gateway."""

    servers: list[float]
    gateway: dict[str, float]


@dataclass(frozen=True, slots=True)
class Calls:
    """Tool calls one after another in one session of one server, through the gateway."""

    handshake_ms: float
    calls_ms: list[float]

    @property
    def p50(self) -> float:
        """The median call in milliseconds."""
        return statistics.median(self.calls_ms)


def memory() -> Memory:
    """Ask Docker for each running container of the stack."""
    servers: list[float] = []
    gateway: dict[str, float] = {}
    running = docker.from_env(max_pool_size=16).containers.list(filters={"label": LABEL})
    with ThreadPoolExecutor(8) as pool:
        for container, used in zip(running, pool.map(_used, running), strict=True):
            role = container.labels["mcp-hosting.role"]
            if role == "server":
                servers.append(used)
            else:
                gateway[role] = used
    return Memory(servers, gateway)


def _used(container: Container) -> float:
    stats = cast("dict[str, Any]", container.stats(stream=False, one_shot=True))["memory_stats"]
    reclaimable = stats["stats"].get("inactive_file", stats["stats"].get("total_inactive_file", 0))
    return float((stats["usage"] - reclaimable) / MIB)


async def calls(url: str, password: str, count: int) -> Calls:
    """Sign in as a client does, then call."""
    async with chromium() as browser:
        token = await Person(LOGIN, password, await browser.new_context()).token(url)
    session = Session(url, {"Authorization": f"Bearer {token}"})
    try:
        began = perf_counter()
        await session.open()
        handshake = perf_counter() - began
        taken = []
        for _ in range(count):
            began = perf_counter()
            await session.request("tools/call", {"name": TOOL, "arguments": THOUGHT})
            taken.append((perf_counter() - began) * 1000)
    finally:
        session.close()
    return Calls(handshake * 1000, taken)
