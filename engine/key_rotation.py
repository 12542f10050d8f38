"""Key rotation of a running stack: the order is given inside its control side's container, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

from engine import setup
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import attached
from engine.stack import config_file
from engine.sweep import LABEL, ROLE, names

COMMAND = ("/opt/gateway/bin/python", "-I", "-m", "mcp_gateway", "rotate-keys")
"""In the gateway's image; it says itself what became of it."""


def rotate(layout: Layout, console: Console, stack: str, environ: Mapping[str, str]) -> int:
    """Rotate the keys and return the command's exit code. EngineError says what to do when the stack doesn't run."""
    config_file(layout.root, stack)
    try:
        env = {**environ, **setup.found(layout)}
    except EngineError:
        env = dict(environ)
    running = names(env, ["ps", "--format", "{{.Names}}"], f"label={LABEL}={stack}", f"label={ROLE}=control")
    if not running:
        raise EngineError(f"the gateway of {stack} doesn't run here", f"make up STACK={stack}")
    console.line("keys", f"rotating in {running[0]}")
    return attached(["docker", "exec", running[0], *COMMAND], env=env)
