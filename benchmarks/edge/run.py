"""Measures the edge beside the bare server: `python -m benchmarks.edge.run [--seconds S] [--json FILE]`.

CPU is user and system time of the proxy's process tree (from /proc) for each call, the steadiest figure on a shared
machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.edge.peers import Peer, go_proxy, haproxy, nginx, running
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
    name: str, pid: int | None, port: int, prefix: str, token: str, host: str, seconds: float
) -> list[dict[str, Any]]:
    rows = []
    for kind in ("json", "sse"):
        for sessions in (1, 8, 64):
            load(port, f"{prefix}{kind}", token, host=host, sessions=sessions, seconds=0.3)
            before = cpu_seconds(pid) if pid else 0.0
            row = load(port, f"{prefix}{kind}", token, host=host, sessions=sessions, seconds=seconds)
            used = (cpu_seconds(pid) if pid else 0.0) - before
            rows.append({"target": name, "kind": kind, "k": sessions, "cpu_us": used / row["calls"] * 1e6, **row})
    events = load(port, f"{prefix}events", token, host=host, stream=True)
    rows.append({"target": name, "kind": "stream", "k": 1, **events})
    for row in rows:
        print(
            f"{row['target']:14} {row['kind']:6} k={row['k']:<3} cpu {row.get('cpu_us', 0):6.1f} us/call "
            f"{row.get('rps', 0):7.0f}/s p50 {row['p50']:.3f} p99 {row['p99']:.3f} ms errors {row.get('errors', 0)}",
            flush=True,
        )
    return rows


def measure_peer(peer: Peer, token: str, seconds: float) -> list[dict[str, Any]]:
    with running(peer) as pid:
        wait_for(peer.port)
        return measure(peer.name, pid, peer.port, "/", token, "127.0.0.1", seconds)


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", action="store_true", help="without other proxies")
    options = parser.parse_args()
    rows = []
    with upstream() as port, tempfile.TemporaryDirectory() as name, new_world(Path(name)) as world:
        routes(world, port)
        token = world.token("bench")
        assert world.process is not None
        targets: list[Callable[[], list[dict[str, Any]]]] = [
            lambda: measure("direct", None, port, "/", token, "127.0.0.1", options.seconds),
            lambda: measure("edge", world.process.pid, world.port, "/mcp-connect/", token, HOST, options.seconds),  # type: ignore[union-attr]
        ]
        if not options.alone:
            folder = Path(name)
            found = [
                nginx(folder, free_port(), port),
                haproxy(folder, free_port(), port, world.signer),
                go_proxy(folder, free_port(), port, world.signer),
            ]
            targets += [
                lambda peer=peer: measure_peer(peer, token, options.seconds)  # type: ignore[misc]
                for peer in found
                if peer is not None and shutil.which(peer.command[0])
            ]
        for target in targets:
            rows += target()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
