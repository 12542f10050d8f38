"""What a stack leaves in Docker: found by its label and removed; what holds data only when asked."""

from __future__ import annotations

from collections.abc import Mapping

from engine.console import Console
from engine.errors import EngineError
from engine.process import capture

LABEL = "mcp-hosting.stack"
IMAGES = "mcp-hosting/*"
# In the order in which they can be removed: a network outlives its containers, a volume its users.
KINDS = {
    "container": (["ps", "--all", "--format", "{{.Names}}"], ["rm", "--force", "--volumes"]),
    "network": (["network", "ls", "--format", "{{.Name}}"], ["network", "rm"]),
    "volume": (["volume", "ls", "--format", "{{.Name}}"], ["volume", "rm"]),
}


def names(env: Mapping[str, str], listing: list[str], choice: str) -> list[str]:
    """Return the names of what Docker lists for a filter."""
    listed = capture(["docker", *listing, "--filter", choice], env=env)
    if not listed.ok:
        raise EngineError(f"Docker can't be asked for leftovers: {listed.err.strip()}", "make doctor")
    return listed.out.split()


def sweep(console: Console, env: Mapping[str, str], stack: str, *, purge: bool) -> None:
    """Remove the stack's containers and networks; with `purge` its volumes and the project's images too.

    Images are named by their content and serve every stack, so those that another stack's containers use stay.
    """
    for kind, (listing, removal) in KINDS.items():
        left = names(env, listing, f"label={LABEL}={stack}")
        if kind == "volume" and left and not purge:
            console.line("volumes", f"kept {', '.join(left)} (PURGE=1 removes them)")
            continue
        for name in left:
            removed = capture(["docker", *removal, name], env=env, timeout=60)
            console.line(f"{kind}s", f"removed {name}" if removed.ok else f"can't remove {name}: {removed.err.strip()}")
    if purge:
        images = names(env, ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], f"reference={IMAGES}")
        removals = [capture(["docker", "image", "rm", image], env=env, timeout=60).ok for image in images]
        used = removals.count(False)
        if images:
            kept = f", kept {used} that are in use" if used else ""
            console.line("images", f"removed {removals.count(True)}{kept}")
