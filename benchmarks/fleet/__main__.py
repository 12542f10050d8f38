"""`python -m benchmarks.fleet`: preview, first `up`, no-change `up`, one more server, and `destroy`, for many servers.

All are the same npx server, each on a network of its own, behind the gateway; the images are built before. Needs what
`make setup` brings, and Chromium to sign in for the calls. The stack is named `fleet` and is always taken away.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.deployed_stack import Done
from benchmarks.fleet.running import Calls, Memory, calls, memory
from benchmarks.fleet.stack import Fleet, sweep

CALLS = 500


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.fleet", description=__doc__)
    parser.add_argument("--servers", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fleet-") as home:
        sweep()
        fleet = Fleet(Path(home))
        try:
            done, used, called = _measure(fleet, options.servers)
        finally:
            fleet.destroy()
            sweep()
    if options.json:
        steps = {step: asdict(one) for step, one in done.items()}
        found = {"servers": options.servers, "steps": steps, "memoryMiB": asdict(used), "calls": asdict(called)}
        print(json.dumps(found, indent=1))
    else:
        print(table(options.servers, done, used, called))
    return 0


def _measure(fleet: Fleet, servers: int) -> tuple[dict[str, Done], Memory, Calls]:
    _say("images")
    fleet.declare_servers(1)
    fleet.up()
    fleet.destroy()
    sweep()
    done: dict[str, Done] = {}
    fleet.declare_servers(servers)
    for step, run in (
        ("preview, nothing there", fleet.preview),
        ("first up", fleet.up),
        ("preview, no change", fleet.preview),
        ("up, no change", fleet.up),
    ):
        _say(step)
        done[step] = run()
    _say("memory and calls")
    outputs = fleet.outputs()
    used = memory()
    url = sorted(outputs["servers"].values())[-1]
    called = asyncio.run(calls(url, next(iter(outputs["passwords"].values())), CALLS))
    for step, wanted in (("up, one server more", servers + 1), ("up, one server less", servers)):
        _say(step)
        fleet.declare_servers(wanted)
        done[step] = fleet.up()
    _say("destroy")
    done["destroy"] = fleet.destroy()
    return done, used, called


def table(servers: int, done: dict[str, Done], used: Memory, called: Calls) -> str:
    """What was measured, as Markdown."""
    lines = [f"| {servers} servers | seconds | resources |", "|---|---|---|"]
    for step, one in done.items():
        what = ", ".join(f"{count} {kind}" for kind, count in one.resources.items())
        lines.append(f"| {step} | {one.seconds:.1f} | {what} |")
    gateway = ", ".join(f"{role} {mib:.0f}" for role, mib in sorted(used.gateway.items()))
    ordered = sorted(called.calls_ms)
    p99 = ordered[int(len(ordered) * 0.99)]
    lines += [
        "",
        f"| at {servers} servers | |",
        "|---|---|",
        f"| memory of a server at rest, median / most MiB | {statistics.median(used.servers):.0f} / "
        f"{max(used.servers):.0f} |",
        f"| memory of the gateway MiB | {gateway} |",
        f"| handshake of a session through the gateway | {called.handshake_ms:.0f} ms |",
        f"| tool call through the gateway, p50 / p99 | {called.p50:.2f} / {p99:.2f} ms |",
    ]
    return "\n".join(lines)


def _say(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
