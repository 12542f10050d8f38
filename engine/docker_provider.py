"""Pulumi's docker provider: the real plugin wherever it can be had, else the project's stand-in."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.console import Console
from engine.layout import Layout
from engine.process import capture
from engine.versions import DOCKER_PROVIDER

PLUGIN = "pulumi-resource-docker"
ASK_AGAIN_AFTER = 24 * 3600
DOWNLOAD_SECONDS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The provider in use. `path` is a directory to put on PATH, where it is needed there."""

    real: bool
    path: Path | None
    why: str


def decide(*, cached: bool, on_path: bool, refused: str | None, standin: Path) -> Provider | None:
    """Choose the provider, or return None when a download has to be tried first.

    `cached`: the plugin is in Pulumi's plugin directory. `on_path`: a plugin other than the stand-in is on PATH.
    `refused`: why the last download failed, None when none has been tried lately.
    """
    if cached:
        return Provider(real=True, path=None, why=f"Pulumi's plugin {DOCKER_PROVIDER}")
    if on_path:
        return Provider(real=True, path=None, why=f"{PLUGIN} on PATH")
    if refused is None:
        return None
    return Provider(real=False, path=standin, why=f"the project's stand-in, because {refused}")


def noted_refusal(record: str, now: float | None) -> str | None:
    """Read the record of a failed download. None when it can't be read or, given `now`, when it is older than a day."""
    try:
        noted = json.loads(record)
        if now is not None and not 0 <= now - float(noted["at"]) < ASK_AGAIN_AFTER:
            return None
        return str(noted["why"])
    except (ValueError, KeyError, TypeError):
        return None


def reason(error: str) -> str:
    """Say in a few words why a download failed, from the CLI's messages."""
    for sign, meaning in (
        ("no such host", "Pulumi's plugin site can't be reached (no such host)"),
        ("connection refused", "Pulumi's plugin site can't be reached (connection refused)"),
        ("no answer within", "Pulumi's plugin site doesn't answer"),
        ("403", "Pulumi's plugin site refused the download (403)"),
    ):
        if sign in error:
            return meaning
    return "Pulumi's plugin can't be downloaded"


def find(layout: Layout, environ: Mapping[str, str], now: float | None = None) -> Provider | None:
    """Return the provider in use; None while none has been settled or, given `now`, when it is time to ask again."""
    home = Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME") or Path.home()) / ".pulumi")
    cached = home / "plugins" / f"resource-docker-v{DOCKER_PROVIDER}" / PLUGIN
    standin = layout.root / "engine" / "docker-provider"
    others = [
        place
        for entry in environ.get("PATH", "").split(os.pathsep)
        if entry and (place := shutil.which(PLUGIN, path=entry)) and Path(place).resolve().parent != standin
    ]
    record = layout.cache / "docker-provider.json"
    return decide(
        cached=cached.exists(),
        on_path=bool(others),
        refused=noted_refusal(record.read_text(), now) if record.exists() else None,
        standin=standin,
    )


def ensure(layout: Layout, console: Console, environ: Mapping[str, str], pulumi: Path) -> Provider:
    """Return the provider, downloading Pulumi's plugin where its site can be reached."""
    provider = find(layout, environ, time.time())
    if provider is not None:
        return provider
    with console.working("provider", f"asking for Pulumi's docker plugin {DOCKER_PROVIDER}", 10):
        asked = capture(
            [pulumi, "plugin", "install", "resource", "docker", DOCKER_PROVIDER],
            env={**environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            timeout=DOWNLOAD_SECONDS,
        )
    if not asked.ok:
        layout.cache.mkdir(parents=True, exist_ok=True)
        noted = {"at": time.time(), "why": reason(asked.err + asked.out)}
        (layout.cache / "docker-provider.json").write_text(json.dumps(noted))
    provider = find(layout, environ, time.time())
    if provider is None:
        raise AssertionError("the download neither left a plugin nor a record of its failure")
    return provider
