"""`make doctor`: what was found, what is missing and what to do about it. It changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from engine import base_image, docker_engine, docker_provider, pulumi_cli, pulumi_env, python_env
from engine.cluster.look import look
from engine.console import WIDTH, Console
from engine.docker_engine import Docker
from engine.layout import Layout
from engine.process import capture
from engine.system import describe, may_apt
from engine.versions import PULUMI, go_directive

GIB = 1024**3
SETUP = "make setup"
STYLE = {"ok": "green", "missing": "red", "note": "yellow"}
DISK_NEEDED = 8  # GiB: the Go build cache, the base image and the servers' images


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row. `state` is "ok", "missing" (it can't work) or "note" (set-up will see to it, or only tests need it)."""

    part: str
    state: str
    detail: str
    remedy: str = ""


def machine() -> Finding:
    """Look at the operating system."""
    name = describe().get("PRETTY_NAME", "unknown")
    apt = "; missing packages can be installed" if may_apt() else ""
    return Finding(part="system", state="ok", detail=f"{name}, {os.uname().machine}, {os.cpu_count()} cores{apt}")


def python() -> Finding:
    """Look at the Python that runs this."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(part="python", state="ok", detail=f"{version} ({sys.executable})")


def venv(layout: Layout) -> Finding:
    """Look at the project's environment."""
    if problem := python_env.problem(layout):
        return Finding(part="packages", state="note", detail=f".venv: {problem}", remedy=SETUP)
    return Finding(part="packages", state="ok", detail=".venv, as locked")


def pulumi(layout: Layout) -> list[Finding]:
    """Look at the CLI, its language host, and Go where it would have to be built."""
    cli, reason = pulumi_cli.find(layout, os.environ)
    if cli:
        host = "the project's, beside it" if cli.built else "Pulumi's own"
        return [
            Finding(part="pulumi", state="ok", detail=f"{cli.version} ({cli.directory}), {cli.why}"),
            Finding(part="language host", state="ok", detail=f"{pulumi_cli.HOST}: {host}"),
        ]
    wanted = go_directive(layout.root / "engine" / "pulumi" / "go.mod")
    go = capture(["go", "version"]).out
    if problem := pulumi_cli.go_problem(go, wanted):
        detail = f"{reason}, and it can't be built: {problem}"
        return [Finding(part="pulumi", state="missing", detail=detail, remedy=pulumi_cli.go_remedy(wanted))]
    detail = f"{reason}; {PULUMI} will be built from source with {' '.join(go.split()[2:3])}"
    return [Finding(part="pulumi", state="note", detail=detail, remedy=SETUP)]


def provider(layout: Layout) -> Finding:
    """Look at the docker provider: the real plugin or the stand-in."""
    chosen = docker_provider.find(layout, os.environ)
    if chosen is None:
        return Finding(part="provider", state="note", detail="docker: not asked for yet", remedy=SETUP)
    return Finding(part="provider", state="ok", detail=f"docker: {chosen.why}")


def docker(layout: Layout) -> list[Finding]:
    """Look at the Docker Engine and the base image that it has."""
    found = docker_engine.find(os.environ)
    if not isinstance(found, Docker):
        state = "note" if found.step else "missing"
        return [Finding(part="docker", state=state, detail=found.why, remedy=SETUP if found.step else found.remedy)]
    host = found.host or os.environ.get("DOCKER_HOST") or f"unix://{docker_engine.SOCKET}"
    engine = Finding(
        part="docker", state="ok", detail=f"engine {found.version} (API {found.api}) at {host}, client {found.client}"
    )
    base = base_image.find({**os.environ, "DOCKER_HOST": host})
    if base is None or not base.current:
        why = "not there yet" if base is None else "made for other package archives or certificate authorities"
        return [
            engine,
            Finding(part="base image", state="note", detail=f"{base_image.NAME}: {why}", remedy=SETUP),
        ]
    made = "made here from Debian packages" if base.made else "as published"
    return [engine, Finding(part="base image", state="ok", detail=f"{base_image.NAME}, {made}")]


def state(layout: Layout) -> list[Finding]:
    """Look at where state is kept and what encrypts its secrets."""
    _, shown = pulumi_env.backend(layout, os.environ, pulumi_env.logged_in(os.environ))
    backend = Finding(part="backend", state="ok", detail=shown)
    if pulumi_env.passphrase_given(os.environ):
        return [backend, Finding(part="passphrase", state="ok", detail="from the environment")]
    if not layout.passphrase.exists():
        detail = "not made yet"
        return [backend, Finding(part="passphrase", state="note", detail=detail, remedy=SETUP)]
    if layout.passphrase.stat().st_mode & 0o077:
        detail = f"{layout.passphrase} can be read by others"
        return [
            backend,
            Finding(part="passphrase", state="missing", detail=detail, remedy=f"chmod 600 {layout.passphrase}"),
        ]
    return [backend, Finding(part="passphrase", state="ok", detail=f"{layout.passphrase} (keep a copy of it)")]


def cluster(layout: Layout) -> Finding:
    """Look at the Kubernetes cluster that there is or that can be built."""
    seen = look(layout, os.environ)
    return Finding(part=seen.part, state="ok" if seen.well else "note", detail=seen.detail, remedy=seen.remedy)


def browser(layout: Layout) -> Finding:
    """Look for Chromium, which only the tests need."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path:
        return Finding(part="chromium", state="ok", detail=f"{path} (tests only)")
    remedy = "make test installs it" if may_apt() else "install chromium"
    return Finding(part="chromium", state="note", detail="missing (only tests need it)", remedy=remedy)


def disk(layout: Layout) -> Finding:
    """Look at the free space where the cache is kept."""
    place = next(parent for parent in (layout.cache, *layout.cache.parents) if parent.exists())
    free = shutil.disk_usage(place).free / GIB
    enough = free >= DISK_NEEDED
    remedy = "" if enough else f"free {DISK_NEEDED} GiB"
    return Finding(
        part="disk", state="ok" if enough else "note", detail=f"{free:.0f} GiB free at {place}", remedy=remedy
    )


def examine(layout: Layout) -> list[Finding]:
    """Return all findings, in the order in which they are read."""
    looks: Sequence[Callable[[], Finding | list[Finding]]] = (
        machine,
        python,
        lambda: venv(layout),
        lambda: docker(layout),
        lambda: pulumi(layout),
        lambda: provider(layout),
        lambda: state(layout),
        lambda: cluster(layout),
        lambda: browser(layout),
        lambda: disk(layout),
    )
    with ThreadPoolExecutor() as pool:
        rows = [running.result() for running in [pool.submit(look) for look in looks]]
    return [finding for row in rows for finding in (row if isinstance(row, list) else [row])]


def show(findings: Sequence[Finding], console: Console, *, as_json: bool) -> int:
    """Print the findings; return 1 when something is missing that set-up can't bring."""
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    else:
        for finding in findings:
            mark = console.style(finding.state.ljust(8), STYLE[finding.state])
            remedy = f"\n{' ' * (WIDTH + 10)}-> {finding.remedy}" if finding.remedy else ""
            sys.stdout.write(f"{finding.part.ljust(WIDTH)} {mark} {finding.detail}{remedy}\n")
    return int(any(finding.state == "missing" for finding in findings))
