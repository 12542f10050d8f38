"""`python -m benchmarks.runner`: our runner against mcp-proxy and supergateway, side by side in one run.

Each round takes every bridge in turn, so that what else the machine does falls on all alike; a figure is the median
of the rounds. `--json` prints everything measured.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks.runner.load import LoadError, Session, drive, open_sessions
from benchmarks.runner.procfs import machine_busy, usage
from benchmarks.runner.targets import CHILD, Target, mcp_proxy, runner, supergateway

START_SECONDS = 60.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """One bridge under one number of sessions, in one round."""

    target: str
    sessions: int
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    bridge_cpu_us: float
    bridge_rss_mib: float
    tree_pss_mib: float
    errors: int
    others_cores: float


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a bridge: until its first `initialize` answer, and its memory then."""

    target: str
    ready_seconds: float
    idle_rss_mib: float
    idle_pss_mib: float


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.runner", description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=4.0, help="of load for each figure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="bridges whose names hold one of these words")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    targets = [
        target
        for target in (runner("own"), runner("shared"), mcp_proxy(), supergateway())
        if not options.only or any(word in target.name for word in options.only)
    ]
    starts: list[Start] = []
    loads: list[Load] = []
    for number in range(options.rounds):
        for target in targets:
            print(f"round {number + 1} of {options.rounds}: {target.name}", file=sys.stderr)
            start, measured = uvloop.run(_measure(target, options.sessions, options.seconds))
            starts.append(start)
            loads += measured
    if options.json:
        print(
            json.dumps({"starts": [asdict(one) for one in starts], "loads": [asdict(one) for one in loads]}, indent=1)
        )
    else:
        print(table(starts, loads))
    return 0


async def _measure(target: Target, sessions: list[int], seconds: float) -> tuple[Start, list[Load]]:
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        began = time.perf_counter()
        process = target.start(port, Path(folder))
        url = f"http://127.0.0.1:{port}/mcp"
        try:
            await _first_answer(url, process, Path(folder))
            ready = time.perf_counter() - began
            await asyncio.sleep(0.5)
            idle = usage(process.pid, CHILD.name)
            start = Start(target.name, ready, idle.rss / MIB, idle.pss_with_children / MIB)
            return start, [await _load(target, url, process.pid, count, seconds) for count in sessions]
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


async def _first_answer(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        session = Session(url)
        try:
            await session.open()
        except (OSError, LoadError):
            await asyncio.sleep(0.01)
        else:
            return
        finally:
            session.close()
    raise RuntimeError(f"it did not start: {(folder / 'output.log').read_text(errors='replace')[-2000:]}")


async def _load(target: Target, url: str, pid: int, count: int, seconds: float) -> Load:
    sessions = await open_sessions(url, count)
    try:
        await drive(sessions, 0.5)
        before, busy, own = usage(pid, CHILD.name), machine_busy(), time.process_time()
        outcome = await drive(sessions, seconds)
        after = usage(pid, CHILD.name)
        cpu = after.cpu - before.cpu
        others = machine_busy() - busy - cpu - (time.process_time() - own)
    finally:
        for session in sessions:
            session.close()
    return Load(
        target=target.name,
        sessions=count,
        calls_per_second=outcome.calls / outcome.seconds,
        p50_ms=outcome.percentile(0.5),
        p99_ms=outcome.percentile(0.99),
        bridge_cpu_us=cpu / outcome.calls * 1e6 if outcome.calls else float("nan"),
        bridge_rss_mib=after.rss / MIB,
        tree_pss_mib=after.pss_with_children / MIB,
        errors=outcome.errors,
        others_cores=others / outcome.seconds,
    )


def table(starts: list[Start], loads: list[Load]) -> str:
    """The medians, with ratios to the first bridge."""
    names = list(dict.fromkeys(start.target for start in starts))
    lines = ["| bridge | ready s | RSS idle MiB | PSS idle with children MiB |", "|---|---|---|---|"]
    for name in names:
        own = [start for start in starts if start.target == name]
        figures = (
            statistics.median(start.ready_seconds for start in own),
            statistics.median(start.idle_rss_mib for start in own),
            statistics.median(start.idle_pss_mib for start in own),
        )
        lines.append(f"| {name} | {figures[0]:.2f} | {figures[1]:.0f} | {figures[2]:.0f} |")
    lines += [
        "",
        f"| bridge | sessions | calls/s | {names[0]} is | p50 ms | p99 ms | bridge CPU µs/call | RSS MiB | "
        "PSS with children MiB | errors | other CPU (children and others, cores) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for count in dict.fromkeys(load.sessions for load in loads):
        first = _median(loads, names[0], count, "calls_per_second")
        for name in names:
            rate, p50, p99, cpu, rss, pss, errors, others = (
                _median(loads, name, count, figure)
                for figure in (
                    "calls_per_second",
                    "p50_ms",
                    "p99_ms",
                    "bridge_cpu_us",
                    "bridge_rss_mib",
                    "tree_pss_mib",
                    "errors",
                    "others_cores",
                )
            )
            ratio = f"{first / rate:.1f}x" if rate else "-"
            lines.append(
                f"| {name} | {count} | {rate:.0f} | {ratio} | {p50:.2f} | {p99:.1f} | {cpu:.0f} | {rss:.0f} | "
                f"{pss:.0f} | {errors:.0f} | {others:.1f} |"
            )
    return "\n".join(lines)


def _median(loads: list[Load], name: str, count: int, figure: str) -> float:
    return statistics.median(
        float(getattr(load, figure)) for load in loads if load.target == name and load.sessions == count
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
