"""Runs the official conformance suite against a URL and returns what each of its checks said.

`python -m tests.conformance.run URL [REVISION ...]` prints the result; the tests use `run` and `differences`.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REVISIONS = ("2025-11-25", "2026-07-28")
"""The requirement sets; each runs at its own revision's wire version."""

RUN_SECONDS = 300.0
_HERE = Path(__file__).parent
_FOLDER = re.compile(r"server-(.+?)-\d{4}-\d{2}-\d{2}T[\dZ-]+")
_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a scenario. Ids repeat within a scenario; `status` is SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""

    id: str
    status: str
    message: str = ""


Results = Mapping[str, tuple[Check, ...]]
"""The checks of each scenario, in the order in which the suite made them."""


@dataclass(frozen=True, slots=True)
class Suite:
    """An installed suite: the Node that it needs and its program."""

    node: Path
    program: Path


def install(cache: Path | None = None) -> Suite:
    """Install the suite and its Node from the lock, once for each content of the lock, outside the checkout.

    Raises:
        subprocess.CalledProcessError: npm couldn't install it; its output is on standard error.
        FileNotFoundError: there is no npm on this machine.
    """
    lock = (_HERE / "package-lock.json").read_bytes()
    digest = hashlib.sha256(lock + (_HERE / "package.json").read_bytes()).hexdigest()[:16]
    target = (cache or _cache()) / digest
    modules = target / "node_modules"
    if not modules.exists():
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target) as work:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / name, work)
            # Install scripts stay off: Node itself comes as a plain package for this kind of machine.
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=work, check=True
            )
            _rename(Path(work) / "node_modules", modules)
    machine = _MACHINES.get(platform.machine(), platform.machine())
    return Suite(
        node=modules / f"node-linux-{machine}" / "bin" / "node",
        program=modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js",
    )


def run(suite: Suite, url: str, revision: str) -> Results:
    """Run what `revision` requires against the server at `url`.

    Raises:
        RuntimeError: the suite ended without results.
        subprocess.TimeoutExpired: it took longer than five minutes.
    """
    with tempfile.TemporaryDirectory() as out:
        command = [str(suite.node), str(suite.program), "server", "--url", url, "--requirements", revision, "-o", out]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
        results = {_scenario(path): _checks(path) for path in sorted(Path(out).glob("**/checks.json"))}
    if not results:
        raise RuntimeError(f"the suite gave no result (exit {ended.returncode}): {ended.stderr[-2000:]}")
    return results


def failing(results: Results) -> dict[str, list[str]]:
    """The ids of the failed checks of each scenario that has any."""
    failed = {name: [check.id for check in checks if check.status == "FAILURE"] for name, checks in results.items()}
    return {name: ids for name, ids in failed.items() if ids}


def differences(one: Results, other: Results) -> list[str]:
    """A line for each check whose verdict differs between two runs, and for each that only one of them made.

    What both runs only note (INFO: the suite's record of the traffic) is no verdict.
    """
    lines: list[str] = []
    for scenario in sorted(one.keys() | other.keys()):
        ours, theirs = _verdicts(one.get(scenario, ())), _verdicts(other.get(scenario, ()))
        for check in sorted(ours.keys() | theirs.keys()):
            here, there = ours.get(check, "absent"), theirs.get(check, "absent")
            if here != there and not {*here.split(), *there.split()} <= {"INFO", "absent"}:
                lines.append(f"{scenario}:{check}: {here} here, {there} there")
    return lines


def lasting_differences(suite: Suite, one: str, other: str, revision: str, tries: int = 3) -> list[str]:
    """The differences between two URLs that are there in every one of some tries: a few scenarios depend on timing."""
    lasting = differences(run(suite, one, revision), run(suite, other, revision))
    while lasting and (tries := tries - 1):
        again = differences(run(suite, one, revision), run(suite, other, revision))
        lasting = [line for line in lasting if line in again]
    return lasting


def _verdicts(checks: tuple[Check, ...]) -> dict[str, str]:
    by_id: dict[str, list[str]] = {}
    for check in checks:
        by_id.setdefault(check.id, []).append(check.status)
    return {id_: " ".join(statuses) for id_, statuses in by_id.items()}


def _checks(path: Path) -> tuple[Check, ...]:
    return tuple(
        Check(id=raw["id"], status=raw["status"], message=raw.get("errorMessage", ""))
        for raw in json.loads(path.read_text())
    )


def _scenario(path: Path) -> str:
    return _FOLDER.sub(r"\1", path.parent.name)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-hosting" / "conformance"


def _rename(made: Path, target: Path) -> None:
    try:
        made.rename(target)
    except OSError:
        if not target.exists():
            raise


def main(arguments: list[str]) -> int:
    """Print a line for each scenario; 1 if a check failed."""
    parser = argparse.ArgumentParser(description="Run the official conformance suite against a server.")
    parser.add_argument("url")
    parser.add_argument("revisions", nargs="*", default=REVISIONS)
    options = parser.parse_args(arguments)
    suite = install()
    failed = False
    for revision in options.revisions:
        for scenario, checks in sorted(run(suite, options.url, revision).items()):
            failures = [check for check in checks if check.status == "FAILURE"]
            failed = failed or bool(failures)
            print(f"{revision} {scenario}: {len(checks) - len(failures)} passed, {len(failures)} failed")
            for check in failures:
                print(f"    {check.id}: {check.message}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
