"""The images' base: pulled where a registry can be reached, else made here from Debian packages under the same name.

A base made here also gets this machine's package archives and the certificate authorities it trusts, because what is
built upon it is built where only those archives can be reached.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine import apt_sources
from engine.console import Console
from engine.content import digest, placed
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import capture, logged
from engine.system import apt_install, may_apt

NAME = "debian:bookworm-slim"
RELEASE = "bookworm"
MADE_LABEL = "mcp-hosting.engine"
RECIPE_LABEL = "mcp-hosting.recipe"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PULL_SECONDS = 120
MAKE_SECONDS = 90
RECIPE = "4"  # raise when the steps below change, so that images made by earlier ones are made anew

# debootstrap mounts /proc and /sys in the tree. In a mount namespace of its own they are gone whenever it ends, so that
# clearing up after an interruption can't reach into this machine's.
ALONE = ("unshare", "--mount", "--propagation", "private")

# What Debian's own slim images leave out, and what would make two builds differ.
PRUNED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The base image as it is: `made` here or not, and whether it still fits this machine."""

    made: bool
    current: bool


def recipe_key(authorities: str, sources: list[apt_sources.Source]) -> str:
    """Return the key of what a base made here depends on."""
    return digest((RECIPE, RELEASE, authorities, apt_sources.render(sources, RELEASE)))


def machine_key() -> str:
    """Return the recipe's key on this machine."""
    return recipe_key(AUTHORITIES.read_text() if AUTHORITIES.exists() else "", apt_sources.here(RELEASE))


def own_authorities(trusted: str, usual: str) -> list[str]:
    """Return the certificates that this machine trusts and Debian doesn't ship."""
    shipped = {"".join(found.split()) for found in CERTIFICATE.findall(usual)}
    return [found for found in CERTIFICATE.findall(trusted) if "".join(found.split()) not in shipped]


def judge(labels: Mapping[str, str], key: str) -> Base:
    """Read an image's labels: one that wasn't made here is taken as it is."""
    made = MADE_LABEL in labels
    return Base(made=made, current=not made or labels.get(RECIPE_LABEL) == key)


def find(environ: Mapping[str, str]) -> Base | None:
    """Return the base image that the Docker Engine has, or None."""
    asked = capture(["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", NAME], env=environ)
    return judge(json.loads(asked.out) or {}, machine_key()) if asked.ok else None


def bootstrap(layout: Layout, console: Console, key: str) -> Path:
    """Make the base's file system from Debian packages, unless it is cached. Returns a directory with rootfs.tar.gz."""

    def make(work: Path) -> None:
        log = layout.logs / "base-image.log"
        log.unlink(missing_ok=True)
        sources = apt_sources.here(RELEASE)
        tree = work / "tree"
        env = {"PATH": os.environ["PATH"], "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        mirror = [source.uri for source in sources if source.pocket == ""]

        def inside(*command: str) -> None:
            logged(["chroot", tree, *command], log, env=env, remedy="run it again")

        with console.working("base image", f"making {NAME} from Debian packages", MAKE_SECONDS):
            logged(
                [*ALONE, "debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, tree, *mirror],
                log,
                env=env,
                remedy="run it again, or pull the image where a registry can be reached",
            )
            if sources:
                (tree / "etc/apt/sources.list").write_text(apt_sources.render(sources, RELEASE))
            usual = (tree / "etc/ssl/certs/ca-certificates.crt").read_text()
            trusted = AUTHORITIES.read_text() if AUTHORITIES.exists() else ""
            for number, certificate in enumerate(own_authorities(trusted, usual)):
                (tree / f"usr/local/share/ca-certificates/host-{number}.crt").write_text(certificate)
            inside("update-ca-certificates")
            # The archive's name is looked up through this machine's resolver; the image gets the container's own.
            shutil.copyfile("/etc/resolv.conf", tree / "etc/resolv.conf")
            inside("apt-get", "update", "-q")
            inside("apt-get", "upgrade", "-y", "-q")
            inside("apt-get", "clean")
            (tree / "etc/resolv.conf").unlink()
            for place in PRUNED:
                for entry in (tree / place).iterdir():
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            (tree / "etc/dpkg/dpkg.cfg.d/slim").write_text(
                "".join(f"path-exclude /{place}/*\n" for place in PRUNED if place.startswith("usr/share"))
            )
            logged(["tar", "--numeric-owner", "-C", tree, "-I", "gzip -1", "-cf", work / "rootfs.tar.gz", "."], log)
            shutil.rmtree(tree)

    return placed(
        layout.cache / "base-image" / key,
        make,
        waiting=lambda: console.line("base image", "another run is making it: waiting for that …"),
    )


def load(archive: Path, key: str, environ: Mapping[str, str]) -> None:
    """Give the file system to the Docker Engine under the base's name."""
    changes = ('CMD ["bash"]', f"LABEL {MADE_LABEL}=debootstrap", f"LABEL {RECIPE_LABEL}={key}")
    options = [option for change in changes for option in ("--change", change)]
    done = subprocess.run(
        ["docker", "import", *options, archive, NAME], env=dict(environ), capture_output=True, text=True
    )
    if done.returncode:
        raise EngineError(f"docker import failed: {done.stderr.strip()}", "run it again")


def ensure(layout: Layout, console: Console, environ: Mapping[str, str]) -> Base:
    """Return the base image, pulling or making it when it isn't there. Raises EngineError with the remedy."""
    base = find(environ)
    if base and base.current:
        return base
    if base is None:
        with console.working("base image", f"pulling {NAME}", 10):
            pulled = capture(["docker", "pull", "--quiet", NAME], env=environ, timeout=PULL_SECONDS)
        if pulled.ok:
            return Base(made=False, current=True)
    if os.geteuid() != 0:
        raise EngineError(
            f"{NAME} can be neither pulled nor made here", f"`docker pull {NAME}`, or run it once as root"
        )
    if shutil.which("debootstrap") is None:
        if not may_apt():
            raise EngineError(f"{NAME} can't be pulled, and debootstrap isn't installed", "install debootstrap")
        apt_install(layout, console, "base image", ["debootstrap"], 15)
    key = machine_key()
    load(bootstrap(layout, console, key) / "rootfs.tar.gz", key, environ)
    return Base(made=True, current=True)
