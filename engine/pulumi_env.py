"""The environment that Pulumi runs in: where it and its plugins are, where state is kept, what encrypts its secrets."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.layout import Layout


def logged_in(environ: Mapping[str, str]) -> str:
    """Return the backend that the user has logged in to with Pulumi, empty when to none."""
    if environ.get("PULUMI_ACCESS_TOKEN"):
        return "Pulumi Cloud"
    home = Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME") or Path.home()) / ".pulumi")
    try:
        return str(json.loads((home / "credentials.json").read_text()).get("current") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def backend(layout: Layout, environ: Mapping[str, str], login: str) -> tuple[str | None, str]:
    """Choose where state is kept: (URL to set, or None where the user's choice stands; what that is, for people)."""
    if chosen := environ.get("PULUMI_BACKEND_URL"):
        return None, f"{chosen} (PULUMI_BACKEND_URL)"
    if login:
        return None, f"{login} (pulumi login)"
    return layout.state.as_uri(), layout.state.as_uri()


def passphrase_given(environ: Mapping[str, str]) -> bool:
    """Whether the user has set a passphrase of their own."""
    return any(name in environ for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"))


def variables(
    layout: Layout, environ: Mapping[str, str], *, path: Sequence[Path], docker_host: str | None, login: str
) -> dict[str, str]:
    """Return the variables to add to `environ`. `path`: directories that come before its PATH."""
    first = [str(entry) for entry in path]
    rest = [entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry and entry not in first]
    added = {
        "PATH": os.pathsep.join(first + rest),
        "MCP_HOSTING_HOME": str(layout.root),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    url, _ = backend(layout, environ, login)
    if url:
        added["PULUMI_BACKEND_URL"] = url
    if not passphrase_given(environ):
        added["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(layout.passphrase)
    if docker_host:
        added["DOCKER_HOST"] = docker_host
    return added


def ensure(layout: Layout, environ: Mapping[str, str]) -> None:
    """Make the state's directory and, once, the passphrase; both readable by their owner only."""
    if backend(layout, environ, logged_in(environ))[0]:
        layout.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if passphrase_given(environ) or layout.passphrase.exists():
        return
    layout.passphrase.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = layout.passphrase.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
    try:
        # A link fails where another run was first: its passphrase may be in use already.
        os.link(fresh, layout.passphrase)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
