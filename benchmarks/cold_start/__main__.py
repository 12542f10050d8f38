"""`python -m benchmarks.cold_start`: a server that is baked, behind the runner, against `npx -y` and `uvx`.

Each figure is the time from the spawn of a command to the answer to `initialize`, over stdio, or over HTTP where the
runner is in between. "Fresh" starts with an empty package cache and so includes the download; "warm" with a full one.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.cold_start import hosted, stdio
from benchmarks.runner.installed import node_modules, python_bin

SERVERS = Path(__file__).parent / "servers"
BIN = Path(sys.executable).parent

Case = tuple[str, str, Callable[[], float]]
"""The server, the way in which it is started, and one measured start."""


def cases(work: Path, images: dict[str, str]) -> Iterator[Case]:
    """Everything that is measured."""
    package = json.loads((SERVERS / "package.json").read_text())["dependencies"]
    everything = "@modelcontextprotocol/server-everything"
    script = node_modules(SERVERS) / everything / "dist" / "index.js"
    bare = ["node", str(script)]
    npx = ["npx", "-y", f"{everything}@{package[everything]}"]
    yield from _cases(
        "everything", bare, npx, "npx -y", "npm_config_cache", work, images.get("everything"), ["/app/bin/server"]
    )
    time = str(python_bin(SERVERS) / "mcp-server-time")
    arguments = ["--local-timezone", "UTC"]
    uvx = [str(BIN / "uvx"), (SERVERS / "requirements.in").read_text().strip(), *arguments]
    baked = ["/app/bin/mcp-server-time", *arguments]
    yield from _cases("time", [time, *arguments], uvx, "uvx", "UV_CACHE_DIR", work, images.get("time"), baked)


def _cases(
    server: str,
    bare: list[str],
    tool: list[str],
    name: str,
    cache: str,
    work: Path,
    image: str | None,
    baked: list[str],
) -> Iterator[Case]:
    def fresh() -> float:
        with tempfile.TemporaryDirectory(dir=work) as empty:
            return stdio.seconds_until_answer(tool, {cache: empty})

    warm = work / f"{server}-warm"
    warm.mkdir()
    yield server, "bare process", lambda: stdio.seconds_until_answer(bare, {})
    yield server, "baked, behind the runner", lambda: hosted.seconds_until_answer(bare)
    if image:
        yield server, "baked, container", lambda: hosted.seconds_until_container_answers(image, baked)
    yield server, f"{name}, warm cache", lambda: stdio.seconds_until_answer(tool, {cache: str(warm)})
    yield server, f"{name}, fresh cache", fresh


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.cold_start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fresh-rounds", type=int, default=2, help="of starts that download")
    parser.add_argument(
        "--image", nargs="*", default=[], metavar="SERVER=REF", help="baked images, to start as containers"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    measured: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as work:
        every = list(cases(Path(work), dict(entry.split("=", 1) for entry in options.image)))
        for server, way, start in every:
            print(f"warming: {server}, {way}", file=sys.stderr)
            measured[server, way] = []
            if "fresh" not in way:
                start()
        for number in range(options.rounds):
            for server, way, start in every:
                if "fresh" not in way or number < options.fresh_rounds:
                    print(f"round {number + 1} of {options.rounds}: {server}, {way}", file=sys.stderr)
                    measured[server, way].append(start())
    if options.json:
        print(
            json.dumps(
                [{"server": key[0], "way": key[1], "seconds": found} for key, found in measured.items()], indent=1
            )
        )
    else:
        print(table(measured))
    return 0


def table(measured: dict[tuple[str, str], list[float]]) -> str:
    """The medians, and how they stand to the bare process of the same server."""
    lines = [
        "| server | started as | median s | least s | more than the bare process, s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for (server, way), found in measured.items():
        median, bare = statistics.median(found), statistics.median(measured[server, "bare process"])
        lines.append(
            f"| {server} | {way} | {median:.2f} | {min(found):.2f} | {median - bare:+.2f} | {median / bare:.1f}x |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
