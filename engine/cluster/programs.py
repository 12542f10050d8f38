"""The programs that the cluster consists of: what is built from Go modules and what comes as Debian packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine import go_build
from engine.console import Console
from engine.content import placed
from engine.errors import EngineError
from engine.go_build import GoBuild
from engine.layout import Layout
from engine.process import capture, logged
from engine.system import apt_install, may_apt

KUBERNETES = "1.34.4"
KUBE_ROUTER = "2.2.1"
COREDNS = "1.12.4"
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
PLUGIN_PLACES = ("/usr/lib/cni", "/opt/cni/bin")
PLUGINS = ("bridge", "host-local", "loopback", "tuning")
# Debian's package of each program that is looked for on PATH.
PACKAGES = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
}


def version_variables(version: str) -> tuple[tuple[str, str], ...]:
    """Return what the linker sets so that Kubernetes' programs know their version."""
    major, minor, _ = version.split(".")
    values = (("gitVersion", f"v{version}"), ("gitMajor", major), ("gitMinor", minor), ("gitTreeState", "clean"))
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple((f"{package}.{name}", value) for package in packages for name, value in values)


def builds(layout: Layout) -> dict[str, GoBuild]:
    """Return the builds by name, the longest first."""
    source = layout.root / "engine" / "kubernetes"
    kube = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
    found = (
        GoBuild(
            name="kubernetes",
            what=f"Kubernetes {KUBERNETES}",
            source=source,
            programs=tuple((f"k8s.io/kubernetes/cmd/{name}", name) for name in kube),
            variables=version_variables(KUBERNETES),
            seconds=600,
        ),
        GoBuild(
            name="kube-router",
            what=f"kube-router {KUBE_ROUTER}",
            source=source / "kube-router",
            programs=(("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", "kube-router"),),
            variables=(("github.com/cloudnativelabs/kube-router/v2/pkg/version.Version", f"v{KUBE_ROUTER}"),),
            seconds=150,
        ),
        GoBuild(
            name="coredns",
            what=f"CoreDNS {COREDNS}",
            source=source / "coredns",
            programs=((".", "coredns"),),
            variables=(("github.com/coredns/coredns/coremain.GitCommit", f"v{COREDNS}"),),
            seconds=90,
        ),
        GoBuild(
            name="volumes",
            what="the maker of volumes",
            source=source / "volumes",
            programs=((".", "volumes"),),
            seconds=60,
        ),
        GoBuild(
            name="pause",
            what="pause",
            source=source / "pause",
            programs=((".", "pause"),),
            seconds=5,
        ),
    )
    return {build.name: build for build in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where everything is. `path` is the PATH that all parts run with, `plugins` the directory of CNI plugins."""

    kubernetes: Path
    kube_router: Path
    coredns: Path
    volumes: Path
    pause: Path
    etcd: Path
    containerd: Path
    plugins: Path
    path: str


def search_path(environ: Mapping[str, str]) -> str:
    """Return PATH with the directories that an ordinary user's lacks."""
    have = [entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if entry]
    return os.pathsep.join([*have, *(entry for entry in SBIN if entry not in have)])


def missing_packages(path: str) -> list[str]:
    """Return the Debian packages of the programs that aren't there, each once."""
    lacking = [package for program, package in PACKAGES.items() if shutil.which(program, path=path) is None]
    if plugin_directory() is None:
        lacking.append("containernetworking-plugins")
    return list(dict.fromkeys(lacking))


def plugin_directory() -> Path | None:
    """Return the directory that has the CNI plugins in use, if any."""
    places = (Path(place) for place in PLUGIN_PLACES)
    return next((place for place in places if all((place / plugin).exists() for plugin in PLUGINS)), None)


def etcd(layout: Layout, console: Console, path: str) -> Path:
    """Return an etcd: the machine's own, else the one from Debian's package, unpacked into the cache.

    It isn't installed, because its package starts a server of its own.
    """
    if found := shutil.which("etcd", path=path):
        return Path(found)
    target = layout.cache / "etcd"
    if not target.exists() and not may_apt():
        raise EngineError("etcd isn't installed", "install etcd (https://etcd.io), or run it as root on Debian")

    def make(work: Path) -> None:
        log = layout.logs / "etcd.log"
        work.chmod(0o755)
        with console.working("etcd", "fetching etcd-server with apt-get", 10):
            if not capture(["apt-cache", "policy", "etcd-server"]).out:
                logged(["apt-get", "update", "-q"], log)
            logged(["apt-get", "download", "-q", "etcd-server"], log, cwd=work, remedy="run it again")
            (package,) = work.glob("*.deb")
            logged(["dpkg-deb", "-x", package, work], log)
            package.unlink()

    return placed(target, make) / "usr/bin/etcd"


def find(layout: Layout, environ: Mapping[str, str]) -> list[str]:
    """Say what would have to be built or installed first; empty when everything is there. Changes nothing."""
    path = search_path(environ)
    lacking = [build.what for build in builds(layout).values() if not go_build.directory(layout, build).exists()]
    lacking += missing_packages(path)
    if shutil.which("etcd", path=path) is None and not (layout.cache / "etcd").exists():
        lacking.append("etcd")
    return lacking


def ensure(layout: Layout, console: Console, environ: Mapping[str, str]) -> Programs:
    """Return the programs, building and installing what isn't there. EngineError carries the remedy."""
    path = search_path(environ)
    if packages := missing_packages(path):
        if not may_apt():
            raise EngineError(f"{', '.join(packages)} missing", f"install {' '.join(packages)}")
        apt_install(layout, console, "cluster", packages, 20)
    plugins = plugin_directory()
    if plugins is None:
        raise EngineError(f"no CNI plugins in {' or '.join(PLUGIN_PLACES)}", "install containernetworking-plugins")
    etcd_program = etcd(layout, console, path)
    built = {name: go_build.ensure(layout, console, environ, build) for name, build in builds(layout).items()}
    return Programs(
        kubernetes=built["kubernetes"],
        kube_router=built["kube-router"] / "kube-router",
        coredns=built["coredns"] / "coredns",
        volumes=built["volumes"] / "volumes",
        pause=built["pause"] / "pause",
        etcd=etcd_program,
        containerd=Path(shutil.which("containerd", path=path) or "containerd"),
        plugins=plugins,
        path=path,
    )
