"""What a stack leaves in Docker: found by its label and removed; what holds data only when asked."""

from __future__ import annotations

from collections.abc import Mapping

from engine.console import Console
from engine.errors import EngineError
from engine.process import capture

LABEL = "mcp-hosting.stack"
ROLE = "mcp-hosting.role"
IMAGES = "mcp-hosting/*"
LAUNCHER, USERS_DATA = "launcher", "data"
# In the order in which they can be removed: a network outlives its containers, a volume its users.
KINDS = {
    "container": (["ps", "--all", "--format", "{{.Names}}"], ["rm", "--force", "--volumes"]),
    "network": (["network", "ls", "--format", "{{.Name}}"], ["network", "rm"]),
    "volume": (["volume", "ls", "--format", "{{.Name}}"], ["volume", "rm"]),
}
TOGETHER = 20
"""A stack may have hundreds of users' instances; so many are named in one command."""
SECONDS = 120


def names(env: Mapping[str, str], listing: list[str], *choices: str) -> list[str]:
    """Return the names of what Docker lists for all of some filters."""
    filters = [word for choice in choices for word in ("--filter", choice)]
    listed = capture(["docker", *listing, *filters], env=env)
    if not listed.ok:
        raise EngineError(f"Docker can't be asked for leftovers: {listed.err.strip()}", "make doctor")
    return listed.out.split()


def sweep(console: Console, env: Mapping[str, str], stack: str, *, purge: bool) -> None:
    """Remove the stack's containers and networks, users' instances among them; with `purge` its volumes and the
    project's images too.

    Images are named by their content and serve every stack, so those that another stack's containers use stay.
    """
    own = f"label={LABEL}={stack}"
    # A launcher that is still there could start another instance after the others were listed.
    listing, removal = KINDS["container"]
    remove(console, env, "container", removal, names(env, listing, own, f"label={ROLE}={LAUNCHER}"))
    for kind, (listing, removal) in KINDS.items():
        if kind == "volume" and not purge:
            keep(console, env, own)
        else:
            remove(console, env, kind, removal, names(env, listing, own))
    if purge:
        images = names(env, ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], f"reference={IMAGES}")
        removals = [capture(["docker", "image", "rm", image], env=env, timeout=60).ok for image in images]
        used = removals.count(False)
        if images:
            kept = f", kept {used} that are in use" if used else ""
            console.line("images", f"removed {removals.count(True)}{kept}")


def keep(console: Console, env: Mapping[str, str], own: str) -> None:
    """Name the volumes that stay: the gateway's, and apart from them the data of users."""
    listing, _ = KINDS["volume"]
    left = names(env, listing, own)
    users = set(names(env, listing, own, f"label={ROLE}={USERS_DATA}"))
    for title, kept in (
        ("volumes", [name for name in left if name not in users]),
        ("users' data", sorted(users)),
    ):
        if kept:
            console.line(title, f"kept {', '.join(kept)} (PURGE=1 removes them)")


def remove(console: Console, env: Mapping[str, str], kind: str, removal: list[str], left: list[str]) -> None:
    """Remove what is named, some at a time, and say of each whether it is gone."""
    for start in range(0, len(left), TOGETHER):
        some = left[start : start + TOGETHER]
        done = capture(["docker", *removal, *some], env=env, timeout=SECONDS)
        gone = set(some) if done.ok else set(done.out.split())
        if gone:
            console.line(f"{kind}s", f"removed {', '.join(name for name in some if name in gone)}")
        if failed := [name for name in some if name not in gone]:
            console.line(f"{kind}s", f"can't remove {', '.join(failed)}: {done.err.strip()}")
