"""How npm and PyPI packages are named, and whether a name pins a version."""

from __future__ import annotations

import re

_NPM = re.compile(r"(@[a-z0-9~][\w.~-]*/)?[a-z0-9~][\w.~-]*(@(?P<version>[^\s@]+))?", re.ASCII | re.IGNORECASE)
_NPM_EXACT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?", re.ASCII)
_PYTHON = re.compile(
    r"(?P<name>[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(?P<extras>\[[A-Za-z0-9._, -]*\])?\s*(?P<rest>.*)", re.ASCII
)
_PYTHON_AT = re.compile(r"@\s*(?P<version>[A-Za-z0-9.!+_-]+)", re.ASCII)
_PYTHON_RANGE = re.compile(
    r"(===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+(\s*,\s*(===?|~=|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+)*"
)
_PYTHON_EXACT = re.compile(r"===?\s*[A-Za-z0-9.+!_-]+", re.ASCII)


def npm_wrong(package: str) -> str | None:
    """Say what is wrong with an npm package's name; None when it is right. Names of the registry only."""
    return None if _NPM.fullmatch(package) else "is not a package of an npm registry such as @scope/name@1.2.3"


def npm_pinned(package: str) -> bool:
    """Tell whether the name carries one exact version."""
    match = _NPM.fullmatch(package)
    return match is not None and _NPM_EXACT.fullmatch(match["version"] or "") is not None


def requirement(package: str) -> tuple[str, str] | None:
    """Return a `uvx` package as `pip` writes it, and its name; None when it is not one of an index.

    `uvx` takes `name@1.2` for `name==1.2` and `name@latest` for the newest.
    """
    match = _PYTHON.fullmatch(package.strip())
    if match is None:
        return None
    name, extras, rest = match["name"], (match["extras"] or "").replace(" ", ""), match["rest"]
    at = _PYTHON_AT.fullmatch(rest)
    if at is not None:
        rest = "" if at["version"] == "latest" else f"=={at['version']}"
    elif rest and _PYTHON_RANGE.fullmatch(rest) is None:
        return None
    return f"{name}{extras}{re.sub(' ', '', rest)}", name


def python_pinned(requirement_: str) -> bool:
    """Tell whether a requirement carries one exact version."""
    match = _PYTHON.fullmatch(requirement_)
    return match is not None and _PYTHON_EXACT.fullmatch(match["rest"]) is not None and "*" not in match["rest"]


def image_pinned(reference: str) -> bool:
    """Tell whether an image's reference names a digest, or a tag other than `latest`."""
    tag = reference.rsplit("/", 1)[-1].partition(":")[2]
    return "@sha256:" in reference or tag not in ("", "latest")
