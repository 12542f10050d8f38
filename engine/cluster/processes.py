"""Running the parts without a supervisor: each is started once, recorded with its identity, and looked up by that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.cluster.parts import Part
from engine.errors import EngineError
from engine.process import tail

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A started part. `started` is the process's start in clock ticks since boot: a number used again isn't it."""

    name: str
    pid: int
    started: int
    key: str


def start_ticks(stat: str) -> int | None:
    """Return field 22 of /proc/<pid>/stat (proc(5)); None for a zombie. The name in field 2 may hold anything."""
    fields = stat.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return None
    return int(fields[19])


def started_at(pid: int) -> int | None:
    """Return a live process's start, None when there is no such process."""
    try:
        return start_ticks(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def recorded(run: Path) -> dict[str, Record]:
    """Return the records of all parts that have been started since the machine was."""
    found = {}
    for file in sorted((run / "parts").glob("*.json")):
        try:
            record = Record(**json.loads(file.read_text()))
        except (ValueError, TypeError):
            continue
        found[record.name] = record
    return found


def alive(record: Record) -> bool:
    """Whether the recorded process is the one that runs under its number."""
    return started_at(record.pid) == record.started


def start(run: Path, logs: Path, part: Part, key: str, environ: Mapping[str, str]) -> Record:
    """Start a part detached from this process, its output in a fresh log file."""
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = logs / f"{part.name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.before"))
    with log.open("a") as output:
        try:
            process = subprocess.Popen(
                part.argv,
                env={**environ, **part.environment},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as problem:
            raise EngineError(f"{part.name} can't be started: {problem}", "make cluster-down, then make cluster") from (
                problem
            )
    record = Record(name=part.name, pid=process.pid, started=started_at(process.pid) or 0, key=key)
    place = run / "parts" / f"{part.name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"name": part.name, "pid": record.pid, "started": record.started, "key": key}))
    return record


def gone(record: Record, seconds: float) -> bool:
    """Wait until a process has ended; False when it hasn't within `seconds`."""
    deadline = time.monotonic() + seconds
    while alive(record):
        if time.monotonic() > deadline:
            return False
        # A part that this very process has started stays a zombie until it is asked for.
        with suppress(ChildProcessError):
            os.waitpid(record.pid, os.WNOHANG)
        time.sleep(POLL_SECONDS)
    return True


def stop(run: Path, record: Record, seconds: float = 10) -> None:
    """End a part in good order, by force after `seconds`, and forget it."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        if not alive(record):
            break
        os.kill(record.pid, number)
        gone(record, patience)
    (run / "parts" / f"{record.name}.json").unlink(missing_ok=True)


def until(
    question: Callable[[], bool], *, what: str, seconds: float, record: Record | None = None, log: Path | None = None
) -> None:
    """Ask again and again until the answer is yes. EngineError with the log's end when time or `record` runs out."""
    deadline = time.monotonic() + seconds
    while not question():
        ended = record is not None and started_at(record.pid) != record.started
        if ended or time.monotonic() > deadline:
            how = "ended by itself" if ended else f"isn't there after {seconds:g} s"
            shown = f"\n{tail(log)}" if log else ""
            raise EngineError(f"{what} {how}{shown}", f"see {log}" if log else "make doctor")
        time.sleep(0.2)
