"""`python -m benchmarks.edge.run`: the edge beside the bare server and beside other proxies.

CPU is user and system time of the proxy's process tree (from /proc) for each call, the steadiest figure on a shared
machine. Each round takes every target in turn; the table has the medians of the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.edge.peers import Peer, go_proxy, haproxy, nginx, nginx_checking, running
from tests.gateway.edge.edge_world import HOST, World, new_world, server_entry

HERE = Path(__file__).parent
BODY = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "hello, world", "times": 3}},
    }
)
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its living children."""
    total = 0.0
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICK
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += cpu_seconds(int(child))
    return total


def load(
    port: int, path: str, token: str, *, host: str, sessions: int = 1, seconds: float = 3.0, stream: bool = False
) -> Any:
    options = {
        "port": port,
        "path": path,
        "token": token,
        "host": host,
        "body": BODY,
        "sessions": sessions,
        "seconds": seconds,
        "stream": stream,
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")], input=json.dumps(options).encode(), capture_output=True, check=True
    )
    return json.loads(done.stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "upstream.py"), str(port)])
    try:
        wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


def wait_for(port: int) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def measure(
    name: str, pids: list[int], port: int, prefix: str, token: str, host: str, seconds: float
) -> list[dict[str, Any]]:
    rows = []
    for kind in ("json", "sse"):
        for sessions in (1, 8, 64):
            if load(port, f"{prefix}{kind}", token, host=host, sessions=sessions, seconds=0.3)["errors"]:
                raise SystemExit(f"{name} doesn't answer as it should")
            before = sum(map(cpu_seconds, pids))
            row = load(port, f"{prefix}{kind}", token, host=host, sessions=sessions, seconds=seconds)
            used = sum(map(cpu_seconds, pids)) - before
            rows.append({"target": name, "kind": kind, "k": sessions, "cpu_us": used / row["calls"] * 1e6, **row})
    events = load(port, f"{prefix}events", token, host=host, stream=True)
    rows.append({"target": name, "kind": "stream", "k": 1, **events})
    for row in rows:
        print(
            f"{row['target']:14} {row['kind']:6} k={row['k']:<3} cpu {row.get('cpu_us', 0):6.1f} us/call "
            f"{row.get('rps', 0):7.0f}/s p50 {row['p50']:.3f} p99 {row['p99']:.3f} ms errors {row.get('errors', 0)}",
            file=sys.stderr,
        )
    return rows


def measure_peer(peer: Peer, token: str, seconds: float) -> list[dict[str, Any]]:
    with running(peer) as pids:
        for port in (peer.beside_port, peer.port):
            if port is not None:
                wait_for(port)
        return measure(peer.name, pids, peer.port, "/", token, "127.0.0.1", seconds)


def starts(world: World, count: int) -> list[dict[str, Any]]:
    """Seconds from the spawn of the edge until /healthz is 200: it listens and has its document."""
    rows = []
    for _ in range(count):
        world.stop()
        began = time.perf_counter()
        world.start()
        rows.append({"target": "edge", "kind": "start", "seconds": time.perf_counter() - began})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The medians of the rounds."""

    def median(figure: str, *key: Any) -> float:
        found = [float(row[figure]) for row in rows if (row["target"], row["kind"], row.get("k")) == key]
        return statistics.median(found)

    names = list(dict.fromkeys(row["target"] for row in rows if row["kind"] != "start"))
    lines = [
        "| answer | sessions | target | CPU µs/call | calls/s | edge is | p50 ms | more than directly, ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("json", "sse"):
        for k in (1, 8, 64):
            for name in names:
                rate, p50 = median("rps", name, kind, k), median("p50", name, kind, k)
                lines.append(
                    f"| {kind} | {k} | {name} | {median('cpu_us', name, kind, k):.0f} | {rate:.0f} | "
                    f"{median('rps', 'edge', kind, k) / rate:.2f}x | {p50:.3f} | "
                    f"{p50 - median('p50', 'direct', kind, k):+.3f} | {median('p99', name, kind, k):.2f} |"
                )
    lines += ["", "| stream of 300 events, target | delay p50 ms | delay p99 ms |", "|---|---|---|"]
    for name in names:
        lines.append(f"| {name} | {median('p50', name, 'stream', 1):.3f} | {median('p99', name, 'stream', 1):.2f} |")
    ready = sorted(row["seconds"] for row in rows if row["kind"] == "start")
    spread = f"median {statistics.median(ready):.2f} s ({ready[0]:.2f} to {ready[-1]:.2f})"
    errors = sum(row.get("errors", 0) for row in rows)
    return "\n".join([*lines, "", f"The edge is ready after {spread}, {len(ready)} starts. Errors: {errors}."])


def routes(world: World, port: int) -> None:
    def change(document: dict[str, Any]) -> None:
        document["servers"] = [
            server_entry(
                kind,
                f"http://127.0.0.1:{port}/{kind}",
                ["sub-alice"],
                tools={"allowed": ["echo"]},
                limits={"requestBytes": 4_194_304, "callsPerMinute": 1_000_000_000, "answerSeconds": 300},
            )
            for kind in ("json", "sse", "events")
        ]
        for server in document["servers"]:
            server["resource"] = "http://gateway.test:8765/mcp-connect/bench"

    world.publish(change)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.edge.run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each figure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=10, help="of the edge")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    parser.add_argument("--alone", action="store_true", help="without other proxies")
    options = parser.parse_args()
    with upstream() as port, tempfile.TemporaryDirectory() as name, new_world(Path(name)) as world:
        routes(world, port)
        rows = starts(world, options.starts)
        token = world.token("bench", exp=int(time.time()) + 3600)
        assert world.process is not None
        edge = world.process.pid
        targets: list[Callable[[], list[dict[str, Any]]]] = [
            lambda: measure("direct", [], port, "/", token, "127.0.0.1", options.seconds),
            lambda: measure("edge", [edge], world.port, "/mcp-connect/", token, HOST, options.seconds),
        ]
        if not options.alone:
            folder = Path(name)
            found = [
                nginx(folder, free_port(), port),
                nginx_checking(folder, free_port(), port, free_port(), world.signer),
                haproxy(folder, free_port(), port, world.signer),
                go_proxy(folder, free_port(), port, world.signer),
            ]
            targets += [
                lambda peer=peer: measure_peer(peer, token, options.seconds)  # type: ignore[misc]
                for peer in found
                if peer is not None and shutil.which(peer.command[0])
            ]
        for _ in range(options.rounds):
            for target in targets:
                rows += target()
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
