"""`python -m benchmarks.gateway`: a tool call of a stdio server: at its runner, through the gateway, through peers.

Everything is taken in turn in each round, so that what else the machine does falls on all alike; a figure is the median
of the rounds. CPU and memory are those of all processes between client and stdio server. The gateway's edge does all
its checks; FastMCP verifies the token; the bridges verify nothing.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks.gateway.targets import Opening, Way, openings
from benchmarks.runner.load import LoadError, Session, drive
from benchmarks.runner.procfs import Usage, machine_busy, usage
from benchmarks.runner.targets import CHILD

MIB = 1024 * 1024
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One way under one number of sessions, in one round."""

    target: str
    sessions: int
    calls_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    rss_mib: float
    errors: int
    others_cores: float


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.gateway", description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=4.0, help="of load for each figure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    options = parser.parse_args(arguments)
    measured: list[Figures] = []
    for number in range(options.rounds):
        for name, opening in openings().items():
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            measured += uvloop.run(_measure(name, opening, options.sessions, options.seconds))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=1))
    print(table(measured))
    return 0


async def _measure(name: str, opening: Opening, counts: list[int], seconds: float) -> list[Figures]:
    with opening() as way:
        return [await _load(name, way, count, seconds) for count in counts]


async def _load(name: str, way: Way, count: int, seconds: float) -> Figures:
    sessions = [await _opened(way) for _ in range(count)]
    try:
        await drive(sessions, 0.5)
        before, busy, own = _usage(way), machine_busy(), time.process_time()
        outcome = await drive(sessions, seconds)
        after = _usage(way)
        cpu = after.cpu - before.cpu
        others = machine_busy() - busy - cpu - (time.process_time() - own)
    finally:
        for session in sessions:
            session.close()
    return Figures(
        target=name,
        sessions=count,
        calls_per_second=outcome.calls / outcome.seconds,
        p50_ms=outcome.percentile(0.5),
        p99_ms=outcome.percentile(0.99),
        cpu_us=cpu / outcome.calls * 1e6 if outcome.calls else float("nan"),
        rss_mib=after.rss / MIB,
        errors=outcome.errors,
        others_cores=others / outcome.seconds,
    )


async def _opened(way: Way) -> Session:
    deadline = time.monotonic() + START_SECONDS
    while True:
        session = Session(way.url, way.headers)
        try:
            await session.open()
        except (OSError, LoadError):
            session.close()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return session


def _usage(way: Way) -> Usage:
    found = [usage(pid, CHILD.name) for pid in way.pids]
    return Usage(
        cpu=sum(one.cpu for one in found),
        rss=sum(one.rss for one in found),
        pss_with_children=sum(one.pss_with_children for one in found),
        children=sum(one.children for one in found),
    )


def table(measured: list[Figures]) -> str:
    """The medians, with the latency that is added to the direct call and the ratio of throughput to ours."""
    names = list(dict.fromkeys(one.target for one in measured))
    direct, ours = names[:2]
    lines = [
        f"| way | sessions | calls/s | {ours} is | p50 ms | more than directly, ms | p99 ms | CPU µs/call | RSS MiB | "
        "errors | other CPU (client, server, others; cores) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for count in dict.fromkeys(one.sessions for one in measured):
        own = _median(measured, ours, count, "calls_per_second")
        least = _median(measured, direct, count, "p50_ms")
        for name in names:
            rate, p50, p99, cpu, rss, errors, others = (
                _median(measured, name, count, figure)
                for figure in ("calls_per_second", "p50_ms", "p99_ms", "cpu_us", "rss_mib", "errors", "others_cores")
            )
            ratio = f"{own / rate:.2f}x" if rate else "-"
            lines.append(
                f"| {name} | {count} | {rate:.0f} | {ratio} | {p50:.2f} | {p50 - least:+.2f} | {p99:.1f} | {cpu:.0f} | "
                f"{rss:.0f} | {errors:.0f} | {others:.1f} |"
            )
    return "\n".join(lines)


def _median(measured: list[Figures], name: str, count: int, figure: str) -> float:
    return statistics.median(
        float(getattr(one, figure)) for one in measured if one.target == name and one.sessions == count
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
