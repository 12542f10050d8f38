"""Running other programs: quick ones for their output, long ones with a log file whose end is shown on failure."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten as shortened

from engine.errors import EngineError

TAIL = 15
WIDEST = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a finished program left. `code` is 127 when there is no such program and 124 when its time ran out."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0


def capture(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 30,
    stdin: str | None = None,
) -> Result:
    """Run a quick program and return its result. `timeout` is in seconds; `stdin` never shows in a process list."""
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            errors="replace",
            input=stdin if stdin is not None else "",
        )
    except (FileNotFoundError, PermissionError) as problem:
        return Result(code=127, out="", err=str(problem))
    except subprocess.TimeoutExpired:
        return Result(code=124, out="", err=f"no answer within {timeout:g} s")
    return Result(code=done.returncode, out=done.stdout, err=done.stderr)


def tail(log: Path, lines: int = TAIL) -> str:
    """Return the last lines of a log, indented for an error message."""
    text = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line[:WIDEST]}" for line in text[-lines:])


def logged(
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    remedy: str = "",
) -> None:
    """Run a long program with its output in `log` (appended).

    It runs in a process group of its own, which ends with this one: an interruption leaves nothing at work.
    Raises EngineError with the log's tail when it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        output.write(f"$ {shlex.join(map(str, command))}\n")
        output.flush()
        try:
            program = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as problem:
            raise EngineError(str(problem), remedy) from problem
        try:
            code = program.wait()
        except BaseException:
            os.killpg(program.pid, signal.SIGTERM)
            try:
                program.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
            raise
    if code:
        said = shortened(shlex.join(map(str, command)), WIDEST, placeholder=" …")
        raise EngineError(f"`{said}` failed ({code}); {log} ends with\n{tail(log)}", remedy)


def attached(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
    """Run a program on the user's own terminal and return its exit code as a shell gives it.

    An interruption is left to the program.
    """
    program = subprocess.Popen(command, env=env, cwd=cwd)
    while True:
        try:
            code = program.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            # The terminal sent the program the same signal. It ends in good order; there is only waiting to do.
            continue
        except SystemExit:
            program.send_signal(signal.SIGINT)
            program.wait()
            raise
