"""Which cluster is meant: the user's own comes first, and is used only when it is named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.cluster.places import kubeconfig
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import capture


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A cluster that the engine hasn't made. `asked`: the user named it with KUBECONFIG."""

    file: Path
    context: str
    asked: bool


def current_context(text: str) -> str:
    """Return a kubeconfig's current context; empty when it has none."""
    found = re.search(r"""^[ \t]*["']?current-context["']?[ \t]*:[ \t]*["']?([^"'\s,}]*)""", text, re.MULTILINE)
    return found[1] if found else ""


def foreign(layout: Layout, environ: Mapping[str, str]) -> Foreign | None:
    """Return the user's cluster, if there is one. EngineError when KUBECONFIG names nothing that can be used."""
    named = [Path(place).expanduser() for place in environ.get("KUBECONFIG", "").split(os.pathsep) if place]
    if named and named[0].absolute() == kubeconfig(layout).absolute():
        return None
    home = Path(environ.get("HOME") or Path.home())
    for file in named or [home / ".kube" / "config"]:
        context = current_context(file.read_text(errors="replace")) if file.is_file() else ""
        if context:
            return Foreign(file=file, context=context, asked=bool(named))
    if named:
        raise EngineError(
            f"KUBECONFIG={environ['KUBECONFIG']}: no such file, or none with a current context", "correct or unset it"
        )
    return None


def server_version(cluster: Foreign, environ: Mapping[str, str]) -> str:
    """Return the version of the user's cluster. EngineError when it doesn't answer, empty without kubectl."""
    asked = capture(
        ["kubectl", "version", "--output=json", "--request-timeout=10s"],
        env={**environ, "KUBECONFIG": str(cluster.file)},
        timeout=20,
    )
    if asked.code == 127:
        return ""
    try:
        return str(json.loads(asked.out)["serverVersion"]["gitVersion"])
    except (ValueError, LookupError, TypeError):
        said = asked.err.strip().splitlines()
        why = said[-1] if said else "no reason given"
        raise EngineError(
            f"the cluster {cluster.context} of {cluster.file} doesn't answer: {why}",
            "start it, or unset KUBECONFIG to have one built here",
        ) from None
