"""Progress for people: one aligned line for each part, coloured on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TextIO

WIDTH = 14
STYLES = {"dim": "2", "red": "31", "green": "32", "yellow": "33", "bold": "1"}
QUIET_INTERVAL = 60.0


def duration(seconds: float) -> str:
    """Return a length of time as a person says it: "8 s", "2 min 10 s"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


@dataclass(frozen=True, slots=True)
class Console:
    """Writes progress. It goes to standard error, so that standard output stays the command's result."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def terminal(self) -> bool:
        """Whether someone looks at it directly and colours are welcome."""
        return self.stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def style(self, text: str, name: str) -> str:
        """Return `text` in a style where the stream shows one."""
        return f"\x1b[{STYLES[name]}m{text}\x1b[0m" if self.terminal else text

    def line(self, part: str, text: str, style: str = "bold") -> None:
        """Write one line: the part's name, aligned, and what is happening to it."""
        print(f"{self.style(part.ljust(WIDTH), style)} {text}", file=self.stream, flush=True)

    @contextmanager
    def working(self, part: str, text: str, expected: float = 0) -> Iterator[None]:
        """Show that a long step is under way: a running clock on a terminal, else a line a minute.

        `expected` is about how long it takes, in seconds.
        """
        about = f", about {duration(expected)}" if expected else ""
        self.line(part, f"{text}{about} …")
        began = time.monotonic()
        stopped = Event()

        def tick() -> None:
            while not stopped.wait(1.0 if self.terminal else QUIET_INTERVAL):
                passed = duration(time.monotonic() - began)
                if self.terminal:
                    self.stream.write(f"\r{' ' * WIDTH} {self.style(passed, 'dim')}\x1b[K")
                    self.stream.flush()
                else:
                    self.line("", f"{text}: {passed} so far")

        clock = Thread(target=tick, daemon=True)
        clock.start()
        ended = "stopped after"
        try:
            yield
            ended = "done in"
        finally:
            stopped.set()
            clock.join()
            if self.terminal:
                self.stream.write("\r\x1b[K")
            self.line("", self.style(f"{ended} {duration(time.monotonic() - began)}", "dim"))
