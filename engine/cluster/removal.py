"""`make cluster-down`: removes all of the cluster, also what a crash or an interruption left of it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from engine.cluster import firewall, network, processes
from engine.cluster import programs as wanted_programs
from engine.cluster.places import Places, kubeconfig
from engine.cluster.starting import alone, cgroup_places
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import capture

# Where the kubelet, the CNI library and the shims put things that can't be put elsewhere.
POD_LOG_LINKS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
CNI_RESULTS = Path("/var/lib/cni/results")
# The kubelet first, so that it doesn't start again what is being ended; the API server after those that write to it.
ORDER = (
    *("kubelet", "volumes", "kube-router", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver"),
    *("etcd", "containerd"),
)


def mounted_below(mountinfo: str, roots: Iterable[Path]) -> list[str]:
    """Return the mount points below `roots`, from /proc/self/mountinfo (proc(5)), those mounted last first."""
    starts = tuple(f"{root}/" for root in roots)
    points = [line.split()[4].encode().decode("unicode_escape") for line in mountinfo.splitlines()]
    return [point for point in reversed(points) if point.startswith(starts)]


def shims(socket: str, commands: Mapping[int, str]) -> list[int]:
    """Return the processes that hold containers of the containerd at `socket`. `commands`: command lines by number."""
    return [
        pid
        for pid, command in commands.items()
        if Path(command.partition("\0")[0]).name.startswith("containerd-shim") and f"\0{socket}\0" in f"{command}\0"
    ]


def command_lines() -> dict[int, str]:
    """Return the command line of every process, its words separated by NUL."""
    found = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                found[int(place.name)] = (place / "cmdline").read_text(errors="replace")
            except OSError:
                continue
    return found


def in_cgroups(places: Iterable[Path]) -> set[int]:
    """Return the processes in these cgroups and below them."""
    found = set()
    for place in places:
        # They vanish while they are looked at, as the runtime clears up after the pods; os.walk passes over that.
        for directory, _, _ in os.walk(place):
            with suppress(OSError):
                found |= {int(word) for word in Path(directory, "cgroup.procs").read_text().split()}
    return found


def kill(pids: Iterable[int]) -> None:
    """End processes by force; those that have gone already are fine."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def end_pods(places: Places, cgroups: list[Path]) -> None:
    """End all containers and what holds them."""
    deadline = time.monotonic() + 20
    while left := in_cgroups(cgroups) | set(shims(str(places.containerd_socket), command_lines())):
        if time.monotonic() > deadline:
            raise EngineError(f"processes of the cluster don't end: {sorted(left)}", "make cluster-down again")
        kill(left)
        time.sleep(0.1)


def remove_cgroups(cgroups: Iterable[Path]) -> None:
    """Remove cgroups from the innermost outwards."""
    for place in cgroups:
        for directory, _, _ in os.walk(place, topdown=False):
            with suppress(FileNotFoundError):
                Path(directory).rmdir()


def links_into(directory: Path, target: Path) -> list[Path]:
    """Return the symbolic links in a directory that lead below `target`."""
    if not directory.is_dir():
        return []
    return [link for link in directory.iterdir() if link.is_symlink() and os.readlink(link).startswith(f"{target}/")]


def elsewhere(places: Places) -> list[Path]:
    """Return the files that the cluster's pods have left in places that others use too."""
    sandboxes = places.state / "containerd" / "io.containerd.grpc.v1.cri" / "sandboxes"
    ids = [entry.name for entry in sandboxes.iterdir()] if sandboxes.is_dir() else []
    results = [file for name in ids for file in CNI_RESULTS.glob(f"*-{name}-*")]
    bundles = places.run / "containerd" / "io.containerd.runtime.v2.task"
    sockets = [Path(file.read_text().strip().removeprefix("unix://")) for file in bundles.glob("*/*/address")]
    links = links_into(POD_LOG_LINKS, places.state / "pod-logs")
    return [*results, *CNI_RESULTS.glob("mcp-hosting-*"), *sockets, *links, DEVICE_PLUGINS / "kubelet.sock"]


def remove(layout: Layout, console: Console, environ: Mapping[str, str], places: Places | None = None) -> bool:
    """Remove the cluster; False when there was none. What was built stays in the cache. EngineError carries the remedy.

    Volumes of the cluster go with it.
    """
    places = places or Places()
    if os.geteuid() != 0 and places.state.parent.exists():
        raise EngineError("removing the cluster takes root", "run it as root")
    if not (places.state.exists() or places.run.exists()):
        return False
    path = wanted_programs.search_path(environ)
    with alone(places, console), console.working("cluster", "removing it", 10):
        records = processes.recorded(places.run)
        cgroups = cgroup_places()
        for name in (part for part in ORDER if part in records and part != "containerd"):
            processes.stop(places.run, records[name], 5)
        left_behind = elsewhere(places)
        end_pods(places, cgroups)
        if "containerd" in records:
            processes.stop(places.run, records["containerd"], 5)
        roots = (places.state, places.run)
        for point in mounted_below(Path("/proc/self/mountinfo").read_text(), roots):
            capture(["umount", "--lazy", point])
        if left := mounted_below(Path("/proc/self/mountinfo").read_text(), roots):
            raise EngineError(f"still mounted: {', '.join(left)}", "unmount them, then make cluster-down")
        firewall.take_down(path)
        network.take_down(places.before)
        remove_cgroups(cgroups)
        for file in left_behind:
            file.unlink(missing_ok=True)
        for directory in (POD_LOG_LINKS, CNI_RESULTS, CNI_RESULTS.parent, DEVICE_PLUGINS, DEVICE_PLUGINS.parent):
            # One that isn't empty is used by others as well.
            with suppress(OSError):
                directory.rmdir()
        for directory in (places.state, places.run):
            if directory.exists():
                shutil.rmtree(directory)
        kubeconfig(layout).unlink(missing_ok=True)
    return True
