"""`python -m benchmarks.instances`: many users' first requests at once to a single-user server.

For each an instance of their own is started. One user goes first and alone, for the comparison with the crowd. Then
everyone calls again while the control side and the launcher are paused: a warm call needs neither. Needs what
`make setup` brings. The stack is named `instances` and is always taken away.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.instances.running import first_requests, instances, memory, warm_calls
from benchmarks.instances.sign_in import tokens
from benchmarks.instances.stack import SERVER, URL, Crowd, sweep

ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, MiB and milliseconds."""

    users: int
    starts_at_once: int
    alone: float
    ready: list[float]
    instances: int
    memory_mib: list[float]
    warm_p50_ms: float
    warm_p99_ms: float
    warm_calls: int


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.instances", description=__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--starts-at-once", type=int, default=4, help="the launcher's limit")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    logins = [f"user-{number:03}" for number in range(options.users + 1)]
    with tempfile.TemporaryDirectory(prefix="instances-") as home:
        sweep()
        crowd = Crowd(Path(home), logins, options.starts_at_once)
        try:
            measured = _measure(crowd, options.starts_at_once)
        finally:
            crowd.destroy()
            sweep()
    print(json.dumps(asdict(measured), indent=1) if options.json else table(measured))
    return 0


def _measure(crowd: Crowd, starts_at_once: int) -> Measured:
    _say("up")
    crowd.up()
    outputs = crowd.outputs()
    url = outputs["servers"][SERVER]
    _say("sign in")
    everyone = tokens(URL, url, outputs["passwords"])
    first = min(everyone)
    _say("first requests")
    (alone,) = asyncio.run(first_requests(url, {first: everyone[first]}))
    others = {login: token for login, token in everyone.items() if login != first}
    ready = asyncio.run(first_requests(url, others))
    running = instances()
    if len(running) != len(everyone):
        raise RuntimeError(f"{len(everyone)} users have {len(running)} instances")
    used = memory(running)
    _say("warm calls")
    warm = asyncio.run(warm_calls(url, others, ROUNDS))
    return Measured(
        users=len(others),
        starts_at_once=starts_at_once,
        alone=alone,
        ready=ready,
        instances=len(running),
        memory_mib=used,
        warm_p50_ms=warm.p50,
        warm_p99_ms=warm.p99,
        warm_calls=len(warm.calls_ms),
    )


def table(measured: Measured) -> str:
    """What was measured, as Markdown."""
    ready, used = measured.ready, measured.memory_mib
    rows = {
        "first request to its answer, one user alone": f"{measured.alone:.2f} s",
        f"the same, {measured.users} users at once: least / median / most": (
            f"{min(ready):.2f} / {statistics.median(ready):.2f} / {max(ready):.2f} s"
        ),
        "instances, one for each user": f"{measured.instances}",
        "memory of an instance, least / median / most": (
            f"{min(used):.0f} / {statistics.median(used):.0f} / {max(used):.0f} MiB"
        ),
        "memory of all instances": f"{sum(used):.0f} MiB",
        f"warm call with control side and launcher paused, p50 / p99 of {measured.warm_calls}": (
            f"{measured.warm_p50_ms:.2f} / {measured.warm_p99_ms:.2f} ms"
        ),
    }
    lines = [f"| {measured.users} users, {measured.starts_at_once} starts at once | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {value} |" for what, value in rows.items())])


def _say(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
