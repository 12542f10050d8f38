"""The record of who called what: JSON lines, written in batches and synced to disk, never with arguments or tokens.

A call reserves its place before it is carried, so a call that was carried has a record unless the machine itself fails
within the next fraction of a second. When the disk takes nothing more, or the queue is full, calls are refused, or by
setting carried without a record.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

logger = logging.getLogger(__name__)

QUEUE = 20_000
BATCH_SECONDS = 0.05
RETRY_SECONDS = 1.0
NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One call; `ms` from the request's head to the end of the answer, sizes of bodies in bytes."""

    time: float
    subject: str
    client: str
    server: str
    method: str | None
    tool: str | None
    status: int
    ms: float
    bytes_in: int
    bytes_out: int
    session: bytes | None = field(repr=False)
    refused: str | None


def line(record: Record) -> bytes:
    """One line of the audit file. `session` is a hash: ids of sessions are as good as half a key."""
    return orjson.dumps(
        {
            "time": round(record.time, 3),
            "subject": record.subject,
            "client": record.client,
            "server": record.server,
            "method": record.method and record.method[:NAME_LENGTH],
            "tool": record.tool and record.tool[:NAME_LENGTH],
            "status": record.status,
            "ms": round(record.ms, 3),
            "bytesIn": record.bytes_in,
            "bytesOut": record.bytes_out,
            "session": record.session and hashlib.sha256(record.session).hexdigest()[:16],
            "refused": record.refused,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


class Audit:
    """A bounded queue and the thread that empties it; `reserve` and `write` belong to the event loop's thread."""

    def __init__(self, folder: Path, name: str, *, refuse: bool, file_bytes: int, files: int, queue: int = QUEUE):
        self._path = folder / f"{name}.jsonl"
        self._refuse = refuse
        self._file_bytes = file_bytes
        self._files = files
        self._queue = queue
        self._pending: deque[Record] = deque()
        self._reserved = 0
        self._failing = False
        self._stopping = False
        self._wake = threading.Event()
        self._descriptor = -1
        self._size = 0
        self.dropped = 0
        self._open()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether calls must be refused, as they can't be recorded."""
        return self._refuse and (self._failing or len(self._pending) + self._reserved >= self._queue)

    def reserve(self) -> None:
        """Take a place for the record of a call that is about to be carried; `write` gives it back."""
        self._reserved += 1

    def release(self) -> None:
        """Give back the place of a call that isn't carried: it is judged anew."""
        self._reserved -= 1

    def write(self, record: Record) -> None:
        """Queue the record of a call that has a place."""
        self._reserved -= 1
        if len(self._pending) >= self._queue and not self._refuse:
            self.dropped += 1
            return
        self._pending.append(record)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write what is queued and stop; waits for at most five seconds."""
        self._stopping = True
        self._wake.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            if not self._stopping:
                time.sleep(BATCH_SECONDS)
            self._wake.clear()
            data = b"".join(self._lines())
            while data and not self._written(data) and not self._stopping:
                time.sleep(RETRY_SECONDS)

    def _lines(self) -> Iterator[bytes]:
        while self._pending:
            yield line(self._pending.popleft())

    def _written(self, data: bytes) -> bool:
        try:
            if self._descriptor < 0 or self._size + len(data) > self._file_bytes > 0:
                self._rotate()
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError as error:
            if not self._failing:
                logger.error("audit: %s can't be written (%s); calls are %s", self._path, error, self._consequence())
            self._failing = True
            self._undo()
            return False
        self._size += len(data)
        if self._failing:
            logger.warning("audit: %s is written again", self._path)
        self._failing = False
        return True

    def _consequence(self) -> str:
        return "refused" if self._refuse else "carried without a record once the queue is full"

    def _undo(self) -> None:
        """Cut off a batch that was written in part, so that it isn't there twice."""
        try:
            if self._descriptor >= 0:
                os.ftruncate(self._descriptor, self._size)
        except OSError:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        if self._size:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f".{time.time_ns() % 10**9:09d}"
            os.rename(self._path, self._path.with_name(f"{self._path.stem}-{stamp}.jsonl"))
        if self._descriptor < 0:
            self._open()
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        if self._files:
            closed = sorted(self._path.parent.glob(f"{self._path.stem}-*.jsonl"))
            for old in closed[: -self._files]:
                old.unlink(missing_ok=True)
