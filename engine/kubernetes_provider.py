"""Pulumi's Kubernetes provider: the real plugin where it can be had, else one built from its Go module.

Both are Pulumi's own; the built one is older, for the module proxy serves no checksums of newer ones.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine import go_build
from engine.console import Console
from engine.docker_provider import DOWNLOAD_SECONDS, noted_refusal, reason
from engine.go_build import GoBuild
from engine.layout import Layout
from engine.process import capture
from engine.versions import KUBERNETES_PROVIDER

PLUGIN = "pulumi-resource-kubernetes"
BUILT = "4.18.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesProvider:
    """The provider in use. `path` is a directory to put on PATH, where it is needed there."""

    path: Path | None
    why: str


def build(layout: Layout) -> GoBuild:
    """Return the build of the provider."""
    return GoBuild(
        name="kubernetes-provider",
        what=f"Pulumi's Kubernetes provider {BUILT}",
        source=layout.root / "engine" / "kubernetes-provider",
        programs=((".", PLUGIN),),
        seconds=600,
    )


def decide(*, cached: bool, on_path: bool, built: Path | None, refused: str | None) -> KubernetesProvider | None:
    """Choose the provider, or return None when there is none yet.

    `cached`: the plugin is in Pulumi's plugin directory. `on_path`: one that wasn't built here is on PATH. `built`: the
    directory of the one built here. `refused`: why the last download failed, None when none has been tried lately.
    """
    if cached:
        return KubernetesProvider(path=None, why=f"Pulumi's plugin {KUBERNETES_PROVIDER}")
    if on_path:
        return KubernetesProvider(path=None, why=f"{PLUGIN} on PATH")
    if built is None or refused is None:
        return None
    return KubernetesProvider(path=built, why=f"{BUILT} built from source, because {refused}")


def record(layout: Layout) -> Path:
    """Return the record of a failed download."""
    return layout.cache / "kubernetes-provider.json"


def find(layout: Layout, environ: Mapping[str, str], now: float | None = None) -> KubernetesProvider | None:
    """Return the provider in use; None while there is none or, given `now`, when it is time to ask for a download."""
    home = Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME") or Path.home()) / ".pulumi")
    built = go_build.directory(layout, build(layout))
    others = [
        place
        for entry in environ.get("PATH", "").split(os.pathsep)
        if entry and (place := shutil.which(PLUGIN, path=entry)) and Path(place).resolve().parent != built.resolve()
    ]
    noted = record(layout)
    return decide(
        cached=(home / "plugins" / f"resource-kubernetes-v{KUBERNETES_PROVIDER}" / PLUGIN).exists(),
        on_path=bool(others),
        built=built if (built / PLUGIN).exists() else None,
        refused=noted_refusal(noted.read_text(), now) if noted.exists() else None,
    )


def ensure(layout: Layout, console: Console, environ: Mapping[str, str], pulumi: Path) -> KubernetesProvider:
    """Return the provider for a stack on Kubernetes, downloading or building it. `pulumi` is the CLI's path."""
    now = time.time()
    if provider := find(layout, environ, now):
        return provider
    noted = record(layout)
    if not noted.exists() or noted_refusal(noted.read_text(), now) is None:
        with console.working("provider", f"asking for Pulumi's kubernetes plugin {KUBERNETES_PROVIDER}", 10):
            asked = capture(
                [pulumi, "plugin", "install", "resource", "kubernetes", KUBERNETES_PROVIDER],
                env={**environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
                timeout=DOWNLOAD_SECONDS,
            )
        if asked.ok and (provider := find(layout, environ, now)):
            return provider
        layout.cache.mkdir(parents=True, exist_ok=True)
        noted.write_text(json.dumps({"at": now, "why": reason(asked.err + asked.out)}))
    go_build.ensure(layout, console, environ, build(layout))
    provider = find(layout, environ, now)
    if provider is None:
        raise AssertionError("the build left no provider")
    return provider
