"""One child process: lines in, lines out, its standard error to the log, and a polite but certain end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from typing import IO, cast

from mcp_runner.log import LINE_BYTES, log

LINE_LIMIT = 16_777_216
"""A longer line (bytes) on the child's standard output ends the child."""
INPUT_LIMIT = 8_388_608
"""A child that leaves more than this unread (bytes) is sent nothing further."""
_STOP_SECONDS = 2.0
_LAST_WORDS_SECONDS = 0.5

living: set[int] = set()
"""Process ids that this module waits for; any other zombie is an orphan that PID 1 has to reap."""


class Child:
    """A process that speaks JSON lines. `on_line` gets each line without its break, `on_exit` once the reason when it
    has ended."""

    def __init__(self, label: str = ""):
        self.label = label
        self.on_line: Callable[[bytes], None] = lambda line: None
        self.on_exit: Callable[[str], None] = lambda reason: None
        self.alive = False
        self.stopping = False
        self._process: subprocess.Popen[bytes]
        self._stdin: asyncio.WriteTransport
        self._stdout: asyncio.ReadTransport
        self._ended = asyncio.Event()
        self._output_closed = asyncio.Event()
        self._reason = ""
        self._finishing: asyncio.Task[None] | None = None

    async def start(self, command: tuple[str, ...], env: dict[str, str], cwd: str) -> None:
        """Start the process in a group of its own. Raises OSError when it can't be started."""
        loop = asyncio.get_running_loop()
        pipe = subprocess.PIPE
        self._process = process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=cwd, start_new_session=True, bufsize=0
        )
        living.add(process.pid)
        self.alive = True
        descriptor = os.pidfd_open(process.pid)
        loop.add_reader(descriptor, self._exited, descriptor)
        lines = Lines(self._line, self._too_long, LINE_LIMIT, self._output_closed.set)
        errors = Lines(self._error_line, lambda: None, LINE_BYTES, lambda: None)
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, cast(IO[bytes], process.stdin))
        self._stdin = transport
        stdout, _ = await loop.connect_read_pipe(lambda: lines, cast(IO[bytes], process.stdout))
        self._stdout = stdout
        await loop.connect_read_pipe(lambda: errors, cast(IO[bytes], process.stderr))

    @property
    def clogged(self) -> bool:
        """Say whether the child has left so much unread that it must be sent nothing more."""
        return self._stdin.get_write_buffer_size() > INPUT_LIMIT

    def write(self, line: bytes) -> None:
        """Send one line (without its break); lost when the child has closed its input, as its end tells of itself."""
        if self.alive and not self._stdin.is_closing():
            self._stdin.write(line + b"\n")

    def pause(self) -> None:
        """Read no further: whoever the output is for doesn't keep up."""
        if self.alive and not self._stdout.is_closing():
            self._stdout.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.alive and not self._stdout.is_closing():
            self._stdout.resume_reading()

    async def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """Close the child's input, then SIGTERM, then SIGKILL to its group, each after up to `seconds`."""
        if not self.alive:
            return
        self.stopping = True
        self.resume()
        self._stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL, None):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
                return
            if number is not None:
                self._signal(number)

    def kill(self, reason: str) -> None:
        """End the child at once; `reason` is what pending requests are told."""
        self._reason = self._reason or reason
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _line(self, line: bytes) -> None:
        try:
            self.on_line(line)
        except Exception as error:
            log("error", f"a line of the server can't be handled: {type(error).__name__}: {error}", self.label)

    def _too_long(self) -> None:
        self.kill(f"it wrote a line longer than {LINE_LIMIT} bytes")

    def _error_line(self, line: bytes) -> None:
        log("info", line.decode("utf-8", "replace"), self.label)

    def _exited(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        code = self._process.wait()
        living.discard(self._process.pid)
        self._reason = self._reason or (f"exit code {code}" if code >= 0 else f"signal {-code}")
        self._finishing = asyncio.get_running_loop().create_task(self._finish())

    async def _finish(self) -> None:
        """Read what the child still had to say, end what it left behind in its group, and report."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._output_closed.wait(), _LAST_WORDS_SECONDS)
        self._signal(signal.SIGKILL)
        self.alive = False
        self._stdin.close()
        self._stdout.close()
        self._ended.set()
        self.on_exit(self._reason)


class Lines(asyncio.Protocol):
    """Cuts a pipe into lines. A line beyond `limit` bytes is handed on cut to `limit`, and `on_excess` is called once
    for it."""

    def __init__(
        self, on_line: Callable[[bytes], None], on_excess: Callable[[], None], limit: int, on_close: Callable[[], None]
    ):
        self._on_line = on_line
        self._on_excess = on_excess
        self._limit = limit
        self._on_close = on_close
        self._parts: list[bytes] = []
        self._size = 0
        self._skipping = False

    def data_received(self, data: bytes) -> None:
        """Hand on each line that these bytes complete."""
        if not self._parts and not self._skipping and data.find(b"\n") == len(data) - 1 and len(data) <= self._limit:
            self._emit(data[:-1])
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            if self._parts:
                self._parts.append(line)
                line = b"".join(self._parts)
                self._parts, self._size = [], 0
            if len(line) > self._limit:
                self._on_excess()
                line = line[: self._limit]
            self._emit(line)
        if rest and not self._skipping:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > self._limit:
                self._on_excess()
                line, self._parts, self._size = b"".join(self._parts)[: self._limit], [], 0
                self._skipping = True
                self._emit(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on an unfinished last line."""
        if self._parts:
            self._emit(b"".join(self._parts))
            self._parts = []
        self._on_close()

    def _emit(self, line: bytes) -> None:
        line = line.removesuffix(b"\r")
        if line:
            self._on_line(line)


def reap_orphans() -> None:
    """Wait for processes that children left behind and that were handed to this one as PID 1."""
    try:
        listed = b" ".join(
            open(f"/proc/self/task/{task}/children", "rb").read()  # noqa: SIM115
            for task in os.listdir("/proc/self/task")
        )
    except OSError:
        return
    for pid in map(int, listed.split()):
        if pid not in living:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
