"""Building Go programs from their modules: versions locked, sums checked, results cached by what they are made from."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.console import Console
from engine.content import digest, placed
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import capture, logged
from engine.pulumi_cli import go_problem
from engine.versions import go_directive

QUIET = "MCP_HOSTING_QUIET"
INSTALL_GO = "install Go (https://go.dev/doc/install; Debian's golang package is too old)"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoBuild:
    """One build. `programs` are pairs of a package and the file that it becomes; `variables` are set by the linker.

    `source` is the directory with go.mod and go.sum; `seconds` is about how long it takes on two idle cores with
    nothing compiled yet.
    """

    name: str
    what: str
    source: Path
    programs: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...] = ()
    seconds: int

    @property
    def flags(self) -> tuple[str, ...]:
        """What `go build` is told. Paths and symbols stay out: the same source gives the same file."""
        linker = ["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables)]
        return ("-trimpath", "-ldflags", " ".join(linker))


def key(build: GoBuild) -> str:
    """Return the key of what a build depends on: locked modules, own source, flags, platform."""
    sources = [build.source / "go.mod", build.source / "go.sum", *sorted(build.source.glob("*.go"))]
    read = [part for file in sources if file.exists() for part in (file.name, file.read_bytes())]
    programs = [part for program in build.programs for part in program]
    return digest((*read, *build.flags, *programs, platform.system(), platform.machine()))


def directory(layout: Layout, build: GoBuild) -> Path:
    """Return where the programs are, whether or not they have been built."""
    return layout.cache / build.name / key(build)


def command(build: GoBuild, target: Path, environ: Mapping[str, str]) -> list[str]:
    """Return the command that builds into `target`. MCP_HOSTING_QUIET=1 makes it step back behind all other work."""
    packages = [package for package, _ in build.programs]
    quiet = environ.get(QUIET, "") not in ("", "0")
    polite = ["nice", "-n", "19", "ionice", "-c3"] if quiet else ["nice", "-n", "5"]
    return [*polite, "go", "build", *(["-p", "1"] if quiet else []), *build.flags, "-o", f"{target}/", *packages]


def ensure(layout: Layout, console: Console, environ: Mapping[str, str], build: GoBuild) -> Path:
    """Return the directory with the programs, building them unless they are cached. EngineError carries the remedy."""

    def make(work: Path) -> None:
        wanted = go_directive(build.source / "go.mod")
        if problem := go_problem(capture(["go", "version"]).out, wanted):
            raise EngineError(problem.replace("build Pulumi", f"build {build.what}"), INSTALL_GO)
        log = layout.logs / f"{build.name}.log"
        log.unlink(missing_ok=True)
        env = {**environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0"}
        cores = os.cpu_count() or 1
        with console.working(build.name, f"building {build.what} from source", build.seconds * 2 / cores):
            logged(
                command(build, work, environ),
                log,
                env=env,
                cwd=build.source,
                remedy="run it again (what was compiled is kept)",
            )
        for package, file in build.programs:
            built = work / (package if package != "." else (build.source.name)).rsplit("/", 1)[-1]
            built.rename(work / file)

    return placed(
        directory(layout, build),
        make,
        waiting=lambda: console.line(build.name, "another run is building it: waiting for that …"),
    )
