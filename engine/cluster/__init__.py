"""A one-node Kubernetes cluster on this machine, for tests and trials where no other cluster is at hand."""

from __future__ import annotations

import os
from collections.abc import Mapping

from engine.cluster import chosen, removal, starting
from engine.cluster.places import Places, kubeconfig
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout


def up(layout: Layout, console: Console, environ: Mapping[str, str], *, own: bool = False) -> dict[str, str]:
    """Return the variables by which the cluster is reached, bringing one up where the user has none.

    The user's cluster is used when KUBECONFIG names it. One that is only there is neither used nor overlooked:
    EngineError says how to choose; `own` is such a choice.
    """
    other = None if own else chosen.foreign(layout, environ)
    if other and other.asked:
        version = chosen.server_version(other, environ)
        said = f", {version}" if version else ""
        console.line("cluster", f"{other.context} of {other.file}{said}: yours, nothing is built", "green")
        return {"KUBECONFIG": str(other.file)}
    if other and not Places().state.exists():
        raise EngineError(
            f"{other.file} names the cluster {other.context}: nothing is built",
            f"`make cluster KUBECONFIG={other.file}` uses it, `make cluster OWN=1` builds one here beside it",
        )
    file = starting.ensure(layout, console, environ)
    console.line("cluster", f"ready: export KUBECONFIG={file}", "green")
    kubectl = starting.kubectl(layout).parent
    path = [str(kubectl), *(entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry)]
    return {"KUBECONFIG": str(file), "PATH": os.pathsep.join(path)}


def down(layout: Layout, console: Console, environ: Mapping[str, str]) -> None:
    """Remove the cluster that was built here. The user's clusters are never touched."""
    if removal.remove(layout, console, environ):
        console.line("cluster", "removed", "green")
    else:
        console.line("cluster", "none was built here")


__all__ = ["down", "kubeconfig", "up"]
