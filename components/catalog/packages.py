"""How npx and uvx entries name a package, and whether that pins one version."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NPM = re.compile(r"(?P<name>(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*)(?:@(?P<wanted>[^\s@:/]+))?")
_NPM_EXACT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_PYTHON = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[A-Za-z0-9._,\s-]*)\])?\s*"
    r"(?P<wanted>@[A-Za-z0-9][A-Za-z0-9.!+_-]*|(?:===?|~=|!=|<=?|>=?)[A-Za-z0-9.,!+*_<>=~\s-]+)?"
)
_PYTHON_EXACT = re.compile(r"(?:@|===?\s*)(?P<version>[0-9][A-Za-z0-9.!+_-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package as an entry names it."""

    name: str
    wanted: str = ""
    """What stands behind the name: npm's range or tag, Python's specifier ("==1.2"); "" when there is nothing."""
    version: str = ""
    """The one version that is pinned; "" when none is."""
    extras: tuple[str, ...] = ()


def npm_package(text: str) -> Package | None:
    """Return a package of the npm registry; None for anything else (an URL, a folder, an option)."""
    match = _NPM.fullmatch(text)
    if match is None:
        return None
    wanted = match["wanted"] or ""
    return Package(name=match["name"], wanted=wanted, version=wanted if _NPM_EXACT.fullmatch(wanted) else "")


def python_package(text: str) -> Package | None:
    """Return a package of the Python index; None for anything else.

    `name@version`, which uvx reads as a pin, comes back as `==version`; `name@latest` as no version at all.
    """
    match = _PYTHON.fullmatch(text)
    if match is None:
        return None
    wanted = (match["wanted"] or "").strip()
    exact = _PYTHON_EXACT.fullmatch(wanted)
    if wanted.startswith("@"):
        wanted = f"=={exact['version']}" if exact else ""
    extras = tuple(extra.strip() for extra in (match["extras"] or "").split(",") if extra.strip())
    return Package(name=match["name"], wanted=wanted, version=exact["version"] if exact else "", extras=extras)
