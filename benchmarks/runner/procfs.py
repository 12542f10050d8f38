"""What a tree of processes has used, from /proc: the bridge apart from the stdio servers that it started."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far of the bridge's processes that are alive, and memory in bytes."""

    cpu: float
    rss: int
    pss_with_children: int
    children: int


def usage(root: int, child_mark: str) -> Usage:
    """Look at `root` and its descendants; those whose command line holds `child_mark` are the stdio servers."""
    cpu, rss, pss, children = 0.0, 0, 0, 0
    for pid in tree(root):
        with contextlib.suppress(OSError, IndexError, ValueError):
            pss += _pss(pid)
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            # A shell that a bridge starts its child with belongs to the bridge, unless it has become the child.
            if child_mark in command and not command.startswith(("/bin/sh", "sh\0")) and pid != root:
                children += 1
                continue
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            cpu += (int(fields[11]) + int(fields[12])) / _TICKS
            rss += int(fields[21]) * _PAGE
    return Usage(cpu=cpu, rss=rss, pss_with_children=pss, children=children)


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += parents.get(pid, [])
    return found


def machine_busy() -> float:
    """CPU seconds that the whole machine has spent so far, to tell how much others ran meanwhile."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICKS


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
