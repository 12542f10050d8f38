"""Where this machine gets Debian packages, so that an image made here gets them from the same place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
POCKETS = ("", "-updates", "-security")


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One archive: its address and the suite's pocket ("" for the release itself, "-updates", "-security")."""

    pocket: str
    uri: str


def one_line(text: str) -> Iterable[tuple[str, str]]:
    """Yield address and suite of each `deb` line of a sources.list (sources.list(5))."""
    for line in text.splitlines():
        if found := re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+\S", line):
            yield found[1], found[2]


def deb822(text: str) -> Iterable[tuple[str, str]]:
    """Yield address and suite of each stanza of a deb822 .sources file (sources.list(5))."""
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = {
            name.strip().lower(): value.split() for name, _, value in (line.partition(":") for line in lines) if value
        }
        if "deb" not in fields.get("types", []) or fields.get("enabled", ["yes"]) == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield uri, suite


def of_release(pairs: Iterable[tuple[str, str]], release: str) -> list[Source]:
    """Keep the archives of a Debian release, the first address of each pocket; other vendors' archives drop out."""
    chosen: dict[str, Source] = {}
    for uri, suite in pairs:
        for pocket in POCKETS:
            if suite == f"{release}{pocket}":
                chosen.setdefault(pocket, Source(pocket, uri))
    return sorted(chosen.values())


def here(release: str) -> list[Source]:
    """Return this machine's archives of Debian `release`; empty when it is another system or another release."""
    pairs: list[tuple[str, str]] = []
    for file in sorted([DIRECTORY / "sources.list", *DIRECTORY.glob("sources.list.d/*")]):
        if file.is_file():
            read = deb822 if file.suffix == ".sources" else one_line
            pairs += read(file.read_text(errors="replace"))
    return of_release(pairs, release)


def render(sources: Iterable[Source], release: str) -> str:
    """Return the sources.list of an image for these archives."""
    return "".join(f"deb [signed-by={KEYRING}] {source.uri} {release}{source.pocket} main\n" for source in sources)
