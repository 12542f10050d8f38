"""What `make doctor` says of the cluster, from records and a few files: it starts and asks nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from engine.cluster import chosen, processes, programs
from engine.cluster.places import Places, kubeconfig
from engine.cluster.removal import ORDER
from engine.errors import EngineError
from engine.layout import Layout

BUILD = "make cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One line: whether it is `well`, what was seen, what to do."""

    part: str
    well: bool
    detail: str
    remedy: str = ""


def judged(states: Mapping[str, bool], file: str) -> Seen:
    """Judge the parts: by name, whether each one runs."""
    ended = [name for name in ORDER if not states.get(name, False)]
    if not ended:
        return Seen(part="cluster", well=True, detail=f"Kubernetes {programs.KUBERNETES}, {len(ORDER)} parts ({file})")
    if len(ended) == len(ORDER):
        return Seen(part="cluster", well=False, detail="built here, but not running", remedy=BUILD)
    return Seen(part="cluster", well=False, detail=f"not running: {', '.join(ended)}", remedy=BUILD)


def look(layout: Layout, environ: Mapping[str, str], places: Places | None = None) -> Seen:
    """Return what there is: the user's cluster, one built here, or what it would take."""
    places = places or Places()
    try:
        other = chosen.foreign(layout, environ)
    except EngineError as problem:
        return Seen(part="cluster", well=False, detail=str(problem), remedy=problem.remedy)
    if other and other.asked:
        return Seen(part="cluster", well=True, detail=f"{other.context} of {other.file} (KUBECONFIG)")
    if os.access(places.state, os.X_OK):
        states = {name: processes.alive(record) for name, record in processes.recorded(places.run).items()}
        return judged(states, str(kubeconfig(layout)))
    if places.state.exists():
        return Seen(part="cluster", well=False, detail="built here by root", remedy=f"sudo {BUILD}")
    if other:
        remedy = f"KUBECONFIG={other.file} uses it"
        return Seen(part="cluster", well=False, detail=f"{other.context} of {other.file}, not asked for", remedy=remedy)
    lacking = programs.find(layout, environ)
    detail = "none (only stacks with target kubernetes need one)"
    return Seen(
        part="cluster",
        well=False,
        detail=detail + (f"; to be built: {', '.join(lacking)}" if lacking else "; all its programs are there"),
        remedy=BUILD,
    )
