"""`make cluster`: brings the cluster up, mends what has ended, and does nothing, quickly, when all is well."""

from __future__ import annotations

import base64
import fcntl
import os
import platform
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engine import go_build
from engine.cluster import (
    certificates,
    configuration,
    firewall,
    images,
    machine,
    name_service,
    network,
    objects,
    parts,
    processes,
)
from engine.cluster import programs as wanted_programs
from engine.cluster.api import Api
from engine.cluster.certificates import NODE
from engine.cluster.network import Network
from engine.cluster.parts import ETCD_PORT, Part
from engine.cluster.places import Places, kubeconfig
from engine.cluster.processes import Record
from engine.cluster.programs import KUBERNETES, Programs
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout
from engine.process import tail

CGROUPS = Path("/sys/fs/cgroup")
START_SECONDS = 90
READY_SECONDS = 120


@contextmanager
def alone(places: Places, console: Console) -> Iterator[None]:
    """Keep other runs from changing the cluster meanwhile."""
    places.lock.parent.mkdir(parents=True, exist_ok=True)
    with places.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.line("cluster", "another run is changing it: waiting for that …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def refusal(*, root: bool, system: str) -> str:
    """Say why a cluster can't be built here; empty when it can."""
    if system != "Linux":
        return f"a cluster can be built on Linux only, this is {system}"
    return "" if root else "building a cluster takes root"


def encryption_key(file: Path) -> str:
    """Return the key that Secrets are sealed under (32 bytes in base64), made once."""
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(base64.b64encode(secrets.token_bytes(32)).decode())
    return file.read_text()


def written(directory: Path, files: Mapping[str, str]) -> None:
    """Write configuration files that differ from what is there, readable by root only."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files.items():
        file = directory / name
        if file.exists() and file.read_text() == content:
            continue
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = file.with_name(f".{file.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(content)
        fresh.replace(file)


def cgroup_places(root: Path = CGROUPS) -> list[Path]:
    """Return the cgroup below which the pods' lie: one directory, or one for each controller with cgroup v1."""
    if (root / "cgroup.controllers").exists():
        return [root / configuration.CGROUP]
    mounted = [place for place in root.iterdir() if (place / "cgroup.procs").exists() and not place.is_symlink()]
    return sorted(place / configuration.CGROUP for place in mounted)


def listens(address: str | tuple[str, int]) -> bool:
    """Whether someone listens at a Unix socket's path or at a host and port."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        return probe.connect_ex(address) == 0


def running(places: Places, console: Console, part: Part, key: str, environ: Mapping[str, str]) -> tuple[Record, bool]:
    """Return the part's process and whether it has just been started: because it wasn't there, or for new files."""
    record = processes.recorded(places.run).get(part.name)
    if record and processes.alive(record):
        if record.key == key:
            return record, False
        console.line("cluster", f"{part.name} starts anew with what has changed")
        processes.stop(places.run, record)
    elif record:
        console.line("cluster", f"{part.name} had ended: starting it again", "yellow")
    return processes.start(places.run, places.logs, part, key, environ), True


def serving(places: Places, api: Api, part: Part) -> bool:
    """Whether a part that others wait for answers."""
    if part.name == "etcd":
        return listens(("127.0.0.1", ETCD_PORT))
    if part.name == "containerd":
        return listens(str(places.containerd_socket))
    if part.name == "kube-apiserver":
        return api.ready()
    # kube-router ends where it finds no node of its name.
    return part.name != "kubelet" or node_registered(api)


def node_registered(api: Api) -> bool:
    """Whether the kubelet has made its node known, with its address."""
    node = api.get(f"/api/v1/nodes/{NODE}") or {}
    return bool(node.get("status", {}).get("addresses"))


def node_ready(api: Api) -> bool:
    """Whether the node says that pods may come."""
    node = api.get(f"/api/v1/nodes/{NODE}") or {}
    conditions = node.get("status", {}).get("conditions", [])
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def start(places: Places, console: Console, programs: Programs, net: Network, environ: Mapping[str, str]) -> Api:
    """Start every part that doesn't run and wait until a pod does."""
    here = machine.here()
    credentials = certificates.ensure(places.certificates, net)
    pause_key = programs.pause.parent.name
    files = configuration.files(
        places,
        credentials,
        net,
        here,
        plugins=programs.plugins,
        pause=images.reference("pause", pause_key),
        key=encryption_key(places.encryption_key),
    )
    written(places.config, files)
    api = Api(host=str(net.node), port=configuration.PORT, certificates=credentials)
    started: dict[str, Record] = {}
    fresh = False
    for part in parts.everything(programs, places, credentials, net):
        record, new = running(places, console, part, part.key(files), environ)
        started[part.name], fresh = record, fresh or new
        log = places.logs / f"{part.name}.log"
        processes.until(
            lambda part=part: serving(places, api, part),  # type: ignore[misc]
            what=part.name,
            seconds=START_SECONDS,
            record=record,
            log=log,
        )
        if part.name == "containerd":
            load = {"pause": programs.pause, "coredns": programs.coredns}
            loaded = {
                name: images.load_program(
                    places, programs.path, name, file, entrypoint=f"/{name}", key=file.parent.name
                )
                for name, file in load.items()
            }
        if part.name == "kube-apiserver":
            for path, content in objects.wanted(net, loaded["coredns"]):
                api.apply(path, content)
    log = places.logs / "kubelet.log"
    processes.until(lambda: node_ready(api), what="the node", seconds=READY_SECONDS, record=started["kubelet"], log=log)
    processes.until(
        lambda: name_service.answers(net.dns), what="the name service's pod", seconds=READY_SECONDS, log=log
    )
    for name, record in started.items():
        if not processes.alive(record):
            shown = tail(places.logs / f"{name}.log")
            raise EngineError(f"{name} ended by itself\n{shown}", f"see {places.logs / f'{name}.log'}")
    return api


def ensure(layout: Layout, console: Console, environ: Mapping[str, str], places: Places | None = None) -> Path:
    """Return the kubeconfig of a running cluster, bringing it up where it isn't. EngineError carries the remedy."""
    places = places or Places()
    if why := refusal(root=os.geteuid() == 0, system=platform.system()):
        raise EngineError(why, "name another cluster with KUBECONFIG=, or run it as root")
    lacking = wanted_programs.find(layout, environ)
    if lacking:
        console.line("cluster", f"to be built or installed first: {', '.join(lacking)}")
    programs = wanted_programs.ensure(layout, console, environ)
    with alone(places, console):
        for directory in (places.state, places.run):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)
        net = network.ensure(places.network)
        network.bring_up(net, places.before)
        firewall.bring_up(net, programs.path)
        for place in cgroup_places():
            place.mkdir(exist_ok=True)
        quiet = {name: value for name, value in environ.items() if name in ("HOME", "LANG", "TMPDIR")}
        records = processes.recorded(places.run)
        if records and all(map(processes.alive, records.values())):
            api = start(places, console, programs, net, {**quiet, "PATH": programs.path})
        else:
            with console.working("cluster", f"starting Kubernetes {KUBERNETES}", 40):
                api = start(places, console, programs, net, {**quiet, "PATH": programs.path})
        own = kubeconfig(layout)
        written(own.parent, {own.name: configuration.admin_kubeconfig(api.certificates, net)})
    return own


def kubectl(layout: Layout) -> Path:
    """Return the built kubectl, whether or not it is there."""
    return go_build.directory(layout, wanted_programs.builds(layout)["kubernetes"]) / "kubectl"
