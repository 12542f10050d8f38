"""The Pulumi CLI and its Python language host: the machine's own, else built from source as Go modules."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.console import Console
from engine.content import digest, placed
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import capture, logged
from engine.versions import PULUMI, PULUMI_AT_LEAST, go_directive, numbers

MODULE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
FLAGS = ("-trimpath", "-ldflags", f"-s -w -X {VERSION_VARIABLE}=v{PULUMI}")
SDK_SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
HOST = "pulumi-language-python"
BUILD_SECONDS = 420
INSTALL = "install Pulumi (https://www.pulumi.com/docs/install/)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cli:
    """A `pulumi` that is there. `built` says whether the engine made it, `why` for what reason."""

    directory: Path
    version: str
    built: bool
    why: str


def refusal(version: str, has_host: bool) -> str:
    """Say why the machine's own `pulumi` can't be used; empty when it can."""
    if numbers(version) < PULUMI_AT_LEAST:
        return f"the installed one is {version or 'broken'}, older than {'.'.join(map(str, PULUMI_AT_LEAST))}"
    return "" if has_host else f"the installed one comes without {HOST}"


def installed(layout: Layout, search: str) -> tuple[Cli | None, str]:
    """Return the machine's own CLI, or None and the reason. What the engine itself has built doesn't count."""
    reason = "none is installed"
    for entry in search.split(os.pathsep):
        path = shutil.which("pulumi", path=entry) if entry else None
        if path is None or Path(path).resolve().is_relative_to(layout.cache.resolve()):
            continue
        version = capture([path, "version"], env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}).out.strip()
        beside = Path(path).resolve().parent / HOST
        reason = refusal(version, beside.exists() or shutil.which(HOST, path=search) is not None)
        if not reason:
            return Cli(directory=Path(path).parent, version=version.lstrip("v"), built=False, why="installed"), ""
        break
    return None, reason


def build_key(source: Path) -> str:
    """Return the key of what the build depends on: the locked modules, the flags, the platform."""
    parts = ((source / "go.mod").read_bytes(), (source / "go.sum").read_bytes(), *FLAGS)
    return digest((*parts, *SDK_SCRIPTS, platform.system(), platform.machine()))


def host_key(layout: Layout) -> str:
    """Return the key of the directory that the built CLI runs from: the build and the language host's files."""
    files = sorted((layout.root / "engine" / "language-host").glob("*[!~]"))
    return digest(
        (build_key(layout.root / "engine" / "pulumi"), *(file.read_bytes() for file in files if file.is_file()))
    )


def bin_directory(layout: Layout) -> Path:
    """Return where the built CLI runs from, whether or not it is there yet."""
    return layout.cache / "bin" / host_key(layout)


def go_problem(version: str, wanted: tuple[int, ...]) -> str:
    """Say why this Go (the output of `go version`) can't build the CLI; empty when it can."""
    need = f"Go {'.'.join(map(str, wanted))} or newer"
    if not version:
        return f"Go isn't installed; {need} is needed to build Pulumi from source"
    found = numbers(version)
    return "" if found >= wanted else f"Go {'.'.join(map(str, found))} is too old; {need} is needed"


def go_remedy(wanted: tuple[int, ...]) -> str:
    """Return what the user can do about a missing Go."""
    need = ".".join(map(str, wanted))
    return f"{INSTALL}, or Go {need}+ (https://go.dev/doc/install; Debian's golang package is too old)"


def build(layout: Layout, console: Console, environ: Mapping[str, str]) -> Path:
    """Build the CLI unless it is cached. Returns the directory with `pulumi` and the SDK's scripts."""
    source = layout.root / "engine" / "pulumi"

    def make(work: Path) -> None:
        wanted = go_directive(source / "go.mod")
        version = capture(["go", "version"]).out
        if problem := go_problem(version, wanted):
            raise EngineError(problem, go_remedy(wanted))
        log = layout.logs / "pulumi.log"
        log.unlink(missing_ok=True)
        env = {**environ, "GOFLAGS": "-mod=readonly -buildvcs=false"}
        cores = os.cpu_count() or 1
        with console.working(
            "pulumi", f"building the CLI {PULUMI} from source on {cores} cores", BUILD_SECONDS * 2 / cores
        ):
            target = work / "pulumi"
            logged(
                ["nice", "-n", "5", "go", "build", *FLAGS, "-o", target, MODULE],
                log,
                env=env,
                cwd=source,
                remedy=f"run it again (what was compiled is kept), or {INSTALL}",
            )
        located = capture(["go", "list", "-m", "-f", "{{.Dir}}", SDK_MODULE], env=env, cwd=source)
        for script in SDK_SCRIPTS:
            copied = work / Path(script).name
            shutil.copyfile(Path(located.out.strip(), script), copied)
            copied.chmod(0o755)

    return placed(
        layout.cache / "pulumi" / build_key(source),
        make,
        waiting=lambda: console.line("pulumi", "another run is building it: waiting for that …"),
    )


def assemble(layout: Layout, built: Path) -> Path:
    """Put the language host beside the built CLI, where Pulumi looks for it first. Returns that directory."""

    def make(work: Path) -> None:
        for file in built.iterdir():
            # A link, not a symbolic one: Pulumi looks for its host beside the file that the link leads to.
            os.link(file, work / file.name)
        for file in (layout.root / "engine" / "language-host").iterdir():
            if file.is_file():
                shutil.copy(file, work / file.name)

    return placed(bin_directory(layout), make)


def find(layout: Layout, environ: Mapping[str, str]) -> tuple[Cli | None, str]:
    """Return the CLI to use: the machine's own, else a built one; None and the reason when there is neither."""
    cli, reason = installed(layout, environ.get("PATH", os.defpath))
    if cli:
        return cli, ""
    directory = bin_directory(layout)
    if (directory / "pulumi").exists():
        return Cli(directory=directory, version=PULUMI, built=True, why=f"built from source, because {reason}"), ""
    return None, reason


def ensure(layout: Layout, console: Console, environ: Mapping[str, str]) -> Cli:
    """Return the CLI, building it when the machine has none that will do."""
    cli, _ = find(layout, environ)
    if cli is None:
        assemble(layout, build(layout, console, environ))
        cli, reason = find(layout, environ)
        if cli is None:
            raise EngineError(f"pulumi isn't to be had: {reason}", INSTALL)
    return cli
