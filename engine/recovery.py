"""What an interrupted run leaves (its lock, things half made), and what was removed behind Pulumi's back."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from engine.console import Console
from engine.errors import EngineError
from engine.process import attached, capture

# Docker refuses a second container or network of a name. Volumes and images it gives again, so they need no care.
NAMED = {"docker:index/container:Container": "container", "docker:index/network:Network": "network"}
WATCHED = {*NAMED, "docker:index/volume:Volume"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A stack's lock in Pulumi's file backend: whose it is and whether that process is still at work."""

    process: int
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An operation that was begun and never recorded as ended."""

    operation: str
    resource_type: str
    name: str


def lock_directory(backend: str, project: str, stack: str) -> Path | None:
    """Return where a file backend keeps a stack's locks; None for another kind of backend."""
    url = urlparse(backend)
    if url.scheme != "file":
        return None
    place = Path(unquote(url.netloc + url.path)).expanduser()
    return place / ".pulumi" / "locks" / "organization" / project / stack


def read_locks(texts: Iterable[str], host: str, alive: Callable[[int], bool]) -> list[Lock]:
    """Read the locks that processes of this host hold; another host's are left to their owner."""
    held = []
    for text in texts:
        content = json.loads(text)
        if content["hostname"] == host:
            held.append(Lock(process=content["pid"], alive=alive(content["pid"])))
    return held


def pulumi_runs(process: int) -> bool:
    """Whether a process of this number is a `pulumi`; a number can have been given to another program since."""
    try:
        os.kill(process, 0)
        command = Path(f"/proc/{process}/cmdline")
        return b"pulumi" in command.read_bytes() if command.exists() else True
    except ProcessLookupError:
        return False
    except PermissionError:
        return True


def pending(exported: str) -> list[Pending]:
    """Return the pending operations in what `pulumi stack export` prints."""
    deployment = json.loads(exported).get("deployment") or {}
    return [
        Pending(
            operation=operation["type"],
            resource_type=operation["resource"]["type"],
            name=str(operation["resource"].get("inputs", {}).get("name", "")),
        )
        for operation in deployment.get("pending_operations") or []
    ]


def gone(exported: str, present: Mapping[str, str]) -> list[str]:
    """Return the names of resources that the state has and Docker hasn't, or that stand still though they must run.

    `present` maps the ids of Docker's containers and networks and the names of its volumes to their state ("running"
    for what can't stand still).
    """
    missing = []
    for resource in (json.loads(exported).get("deployment") or {}).get("resources") or []:
        if resource["type"] not in WATCHED or not resource.get("id"):
            continue
        inputs = resource.get("inputs", {})
        state = present.get(resource["id"])
        if state is None or (state != "running" and inputs.get("mustRun", True)):
            missing.append(str(inputs.get("name") or resource["id"]))
    return sorted(missing)


def in_docker(env: Mapping[str, str]) -> dict[str, str]:
    """Return what `gone` compares the state with."""
    present: dict[str, str] = {}
    for listing in (
        ("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.State}}"),
        ("network", "ls", "--no-trunc", "--format", "{{.ID}} running"),
        ("volume", "ls", "--format", "{{.Name}} running"),
    ):
        listed = capture(["docker", *listing], env=env)
        if not listed.ok:
            raise EngineError(f"Docker can't be asked what runs: {listed.err.strip()}", "make doctor")
        for line in listed.out.splitlines():
            known, _, state = line.partition(" ")
            present[known] = state
    return present


def half_made(operations: Iterable[Pending]) -> list[tuple[str, str]]:
    """Return kind and name of what may exist in Docker though the state doesn't know it, and would be in the way."""
    return [
        (NAMED[operation.resource_type], operation.name)
        for operation in operations
        if operation.operation == "creating" and operation.resource_type in NAMED and operation.name
    ]


def some(names: list[str], most: int = 5) -> str:
    """Return the names as a list in a sentence, cut where it gets long."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def release(env: Mapping[str, str], root: Path, console: Console, project: str, stack: str) -> None:
    """Remove the lock of a run that has died. Raises EngineError while another run is at work."""
    directory = lock_directory(env.get("PULUMI_BACKEND_URL", ""), project, stack)
    if directory is None or not directory.is_dir():
        return
    texts = [file.read_text() for file in directory.glob("*.json")]
    locks = read_locks(texts, socket.gethostname(), pulumi_runs)
    for lock in locks:
        if lock.alive:
            raise EngineError(f"another run is at work on {stack} (process {lock.process})", "wait until it has ended")
    if locks:
        console.line("pulumi", "an earlier run was killed: removing its lock")
        capture(["pulumi", "cancel", "--yes", "--stack", stack], env=env, cwd=root)


def settle(env: Mapping[str, str], root: Path, console: Console, stack: str, *, drift: bool) -> None:
    """Bring the state in step with Docker after an interrupted run and, with `drift`, after changes from elsewhere.

    What a run was making when it ended is removed where it carries the stack's label, since nobody knows how far it
    got; then Pulumi reads everything else anew. Without either there is nothing to do, and nothing is read.
    """
    exported = capture(["pulumi", "stack", "export", "--stack", stack], env=env, cwd=root, timeout=60)
    if not exported.ok:
        raise EngineError(f"Pulumi can't read the stack {stack}: {exported.err.strip()}", "make doctor")
    operations = pending(exported.out)
    missing = gone(exported.out, in_docker(env)) if drift else []
    if operations:
        console.line("pulumi", f"an earlier run was interrupted, {len(operations)} operations pending: settling them")
    if missing:
        console.line("pulumi", f"gone or stopped behind Pulumi's back: {some(missing)}; reading the state anew")
    for kind, name in half_made(operations):
        labels = ".Config.Labels" if kind == "container" else ".Labels"
        form = f'{{{{index {labels} "mcp-hosting.stack"}}}}'
        owner = capture(["docker", kind, "inspect", "--format", form, name], env=env)
        if owner.ok and owner.out.strip() == stack:
            force = ["--force", "--volumes"] if kind == "container" else []
            capture(["docker", kind, "rm", *force, name], env=env, timeout=60)
            console.line("", f"removed the half-made {kind} {name}")
    if operations or missing:
        refresh = ["pulumi", "refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", stack]
        if code := attached(refresh, env=env, cwd=root):
            raise EngineError(f"`{' '.join(refresh)}` failed ({code})", "see the messages above, then run it again")
