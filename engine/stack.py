"""A stack's life: selected or made, brought up, previewed, refreshed, taken down with what it left in Docker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from engine import passwords, recovery, setup
from engine.console import Console
from engine.errors import EngineError
from engine.layout import NAME, Layout
from engine.process import attached, capture
from engine.setup import Ready
from engine.sweep import sweep


def config_file(root: Path, stack: str) -> Path:
    """Return the stack's config file. Raises EngineError naming the stacks there are when it has none."""
    file = root / "stacks" / f"Pulumi.{stack}.yaml"
    if not file.exists():
        known = sorted(found.stem.removeprefix("Pulumi.") for found in file.parent.glob("Pulumi.*.yaml"))
        raise EngineError(
            f"there is no stack {stack}: {file.relative_to(root)} is missing",
            f"write it, or choose one of these: STACK={' STACK='.join(known)}" if known else "write it",
        )
    return file


def exists(env: Mapping[str, str], root: Path, stack: str) -> bool:
    """Whether the backend has this stack."""
    listed = capture(["pulumi", "stack", "ls", "--json"], env=env, cwd=root, timeout=60)
    if not listed.ok:
        raise EngineError(f"Pulumi can't read its backend: {listed.err.strip()}", "make doctor")
    return stack in {entry["name"].rsplit("/", 1)[-1] for entry in json.loads(listed.out)}


def selection_remedy(error: str) -> str:
    """Say what to do about a stack that Pulumi refuses to select."""
    if "incorrect passphrase" in error:
        return (
            "its config was encrypted under another passphrase: set PULUMI_CONFIG_PASSPHRASE_FILE to the file that has "
            "it, or remove `encryptionsalt` and every `secure:` value from its config to start anew"
        )
    return "make doctor"


def prepare(layout: Layout, console: Console, stack: str, *, drift: bool = False) -> Ready:
    """Set up, select the stack (made on first use), give first passwords, settle what an interrupted run left."""
    config_file(layout.root, stack)
    ready = setup.ensure(layout, console)
    console.line("engine", ready.summary())
    selected = capture(
        ["pulumi", "stack", "select", "--create", "--stack", stack], env=ready.env, cwd=layout.root, timeout=60
    )
    if not selected.ok:
        raise EngineError(
            f"the stack {stack} can't be selected: {selected.err.strip()}", selection_remedy(selected.err)
        )
    recovery.release(ready.env, layout.root, console, NAME, stack)
    passwords.ensure(ready, console, stack)
    recovery.settle(ready.env, layout.root, console, stack, drift=drift)
    return ready


def command(layout: Layout, console: Console, stack: str, *arguments: str) -> int:
    """Run a Pulumi command on the prepared stack, on the user's terminal."""
    ready = prepare(layout, console, stack)
    return attached(["pulumi", *arguments, "--stack", stack], env=ready.env, cwd=layout.root)


def up(layout: Layout, console: Console, stack: str) -> int:
    """Set up and deploy, then print how to sign in and connect."""
    ready = prepare(layout, console, stack, drift=True)
    deploy = ["pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", stack]
    if code := attached(deploy, env=ready.env, cwd=layout.root):
        return code
    return attached(
        [layout.python, "-m", "components.cli", "outputs", "--stack", stack], env=ready.env, cwd=layout.root
    )


def down(layout: Layout, console: Console, stack: str, environ: Mapping[str, str], *, purge: bool) -> int:
    """Destroy the stack and sweep up after it. Data stays unless `purge`, which also removes the stack itself."""
    try:
        env = {**environ, **setup.found(layout)}
    except EngineError:
        if not layout.state.exists():
            sweep(console, environ, stack, purge=purge)
            return 0
        env = setup.ensure(layout, console).env
    if exists(env, layout.root, stack):
        recovery.release(env, layout.root, console, NAME, stack)
        recovery.settle(env, layout.root, console, stack, drift=False)
        destroy = ["pulumi", "destroy", "--yes", "--skip-preview", "--stack", stack]
        if code := attached(destroy, env=env, cwd=layout.root):
            return code
        if purge:
            remove = ["pulumi", "stack", "rm", "--yes", "--preserve-config", "--remove-backups", "--stack", stack]
            if code := attached(remove, env=env, cwd=layout.root):
                return code
    sweep(console, env, stack, purge=purge)
    console.line("down", f"nothing of {stack} runs any more", "green")
    return 0
