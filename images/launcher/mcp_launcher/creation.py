"""A second opinion on everything that is to be created: does a template that is in force say exactly this?

It takes nothing over from the room that builds the bodies, its constants neither: a mistake there must not pass here.
"""

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from mcp_launcher.known import Known
from mcp_launcher.likeness import fits, same
from mcp_launcher.owned import DATA, DELIVERY, INSTANCE, READY, REVISION, SERVER_ID, SUBJECT, Key, instance_name
from mcp_launcher.templates import Pieces, Template, Templates

Body = Mapping[str, Any]

_MIB = 1 << 20
_PREFIX = "mcp-hosting."
_TOP = frozenset(
    {
        "Image",
        "Hostname",
        "User",
        "Tty",
        "OpenStdin",
        "StdinOnce",
        "Healthcheck",
        "Labels",
        "HostConfig",
        "Env",
        "Entrypoint",
        "Cmd",
    }
)
_LARGEST_ARCHIVE_ENTRIES = 1001


def network_allowed(body: Body, known: Known) -> bool:
    """Whether this is the network of an instance: its own, and internal unless its template has the internet."""
    stack = known.templates
    key, marks = _key(body), _marks(body)
    template = stack.servers.get(key.server) if stack and key else None
    if stack is None or key is None or template is None:
        return False
    match body.get("IPAM"):
        case {"Driver": "default", "Config": [{"Subnet": str(subnet), "Gateway": str(gateway)}]}:
            exact = {"Driver": "default", "Config": [{"Subnet": subnet, "Gateway": gateway}]}
        case _:
            return False
    block = _block(subnet)
    if block is None or not block.subnet_of(stack.range) or gateway != str(block[1]) or body["IPAM"] != exact:
        return False
    wanted = {
        "Name": instance_name(template.name, key.subject),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": not template.internet,
        "Attachable": False,
        "Ingress": False,
        "EnableIPv6": False,
        "IPAM": exact,
        "Options": {} if template.internet else {"com.docker.network.bridge.inhibit_ipv4": "true"},
        "Labels": _base(stack, key, INSTANCE) | {f"{_PREFIX}edge-address": str(block[3])},
    }
    return same(body, wanted) and same(marks, wanted["Labels"])


def volume_allowed(body: Body, known: Known) -> bool:
    """Whether this is the volume of a server whose template has one: local, and no driver options, which can mount."""
    stack, key, marks = known.templates, _key(body), _marks(body)
    template = stack.servers.get(key.server) if stack and key else None
    if stack is None or key is None or template is None or template.volume_path is None:
        return False
    uid = marks.get(f"{_PREFIX}uid")
    if not _is_uid(uid):
        return False
    wanted = {
        "Name": f"{instance_name(template.name, key.subject)}-data",
        "Driver": "local",
        "DriverOpts": {},
        "Labels": _base(stack, key, DATA) | {f"{_PREFIX}uid": uid},
    }
    return same(body, wanted)


def container_allowed(name: str, body: Body, known: Known) -> bool:
    """Whether this is an instance as its template has it, or one of the helpers beside it."""
    stack, key = known.templates, _key(body)
    if stack is None or key is None or not isinstance(body.get("HostConfig"), Mapping):
        return False
    role = _marks(body).get(f"{_PREFIX}role")
    if role == INSTANCE:
        return _instance(name, body, key, stack, known)
    if role == READY:
        return _ready(name, body, key, stack, known)
    return role == DELIVERY and (_delivery(name, body, key, stack) or _keeper(name, body, key, stack, known))


def archive_allowed(identity: str, path: str, content: bytes, known: Known) -> bool:
    """Whether files may go into a container: only into one that never runs, and only what it is there for."""
    target = known.owned.get(identity)
    if target is None or target.role != DELIVERY:
        return False
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            members = archive.getmembers()
    except (tarfile.TarError, ValueError):
        return False
    if len(members) > _LARGEST_ARCHIVE_ENTRIES or not all(each.uid > 0 and each.gid > 0 for each in members):
        return False
    if target.name.endswith("-keeper"):
        return path == "/" and [(each.name, each.isdir(), each.mode) for each in members] == [("data", True, 0o700)]
    template = known.templates.servers.get(target.key.server) if known.templates else None
    if template is None or path != "/run/mcp" or not members:
        return False
    folder, *files = members
    allowed = {f"files/{name}" for name in template.files}
    return (
        (folder.name, folder.isdir(), folder.mode) == ("files", True, 0o700)
        and all(each.isreg() and each.mode == 0o400 and each.name in allowed for each in files)
        and len({each.name for each in files}) == len(files)
    )


def _instance(name: str, body: Body, key: Key, stack: Templates, known: Known) -> bool:
    template = stack.servers.get(key.server)
    if template is None or name != instance_name(template.name, key.subject):
        return False
    marks, owner = _marks(body), _owner(body)
    network = known.network_of(key, name)
    if owner is None or network is None or not REVISION.fullmatch(str(marks.get(f"{_PREFIX}revision"))):
        return False
    exact_marks = _base(stack, key, INSTANCE) | {
        f"{_PREFIX}uid": str(owner[0]),
        f"{_PREFIX}template": template.digest,
        f"{_PREFIX}revision": marks[f"{_PREFIX}revision"],
    }
    try:
        address = str(IPv4Address(network.labels[f"{_PREFIX}edge-address"]) - 1)
    except (KeyError, ValueError):
        return False
    endpoints = {"EndpointsConfig": {name: {"IPAMConfig": {"IPv4Address": address}}}}
    host = body["HostConfig"]
    amounts, bridged = template.amounts, template.bridge is not None
    with_delivery = bool(host.get("VolumesFrom"))
    if with_delivery and (bridged or not template.files or not known.has(key, f"{name}-delivery")):
        return False
    wanted_host = _limits(amounts.memory_mib, amounts.cpus, amounts.processes) | {
        "NetworkMode": name,
        "ReadonlyRootfs": True,
        "Tmpfs": _memory_folders(template, owner),
        "Mounts": [] if template.volume_path is None else [_volume(f"{name}-data", template.volume_path, False)],
        "VolumesFrom": [f"{name}-delivery:ro"] if with_delivery else [],
    }
    if amounts.reserved_memory_mib is not None:
        wanted_host["MemoryReservation"] = amounts.reserved_memory_mib * _MIB
    if amounts.cpu_shares is not None:
        wanted_host["CpuShares"] = amounts.cpu_shares
    if template.runtime is not None:
        wanted_host["Runtime"] = template.runtime
    if not template.internet:
        wanted_host["Dns"] = ["127.0.0.1"]
    volume = known.volumes.get(f"{name}-data")
    return (
        _ownerfits(owner, template, stack, volume.uid if volume and volume.key == key else None)
        and (template.volume_path is None or (volume is not None and volume.key == key))
        and _top(body, template.image, _TOP | {"NetworkingConfig"})
        and body.get("Hostname") == "instance"
        and same(marks, exact_marks)
        and same(host, wanted_host)
        and same(body.get("NetworkingConfig"), endpoints)
        and (_bridged_program(body) if bridged else _own_program(body, template))
    )


def _bridged_program(body: Body) -> bool:
    return (
        body.get("OpenStdin") is True
        and body.get("StdinOnce") is True
        and same(body.get("Env"), ["HOME=/data"])
        and same(body.get("Entrypoint"), ["/opt/runner/bin/python", "-I", "-m", "mcp_runner"])
        and same(body.get("Cmd"), ["--config", "-"])
    )


def _own_program(body: Body, template: Template) -> bool:
    env = body.get("Env")
    if body.get("OpenStdin") is not False or body.get("StdinOnce") is not False or not isinstance(env, list):
        return False
    found = [str(entry).partition("=") for entry in env]
    return (
        len({name for name, _, _ in found}) == len(found)
        and all(name in template.env and fits(template.env[name], value) for name, _, value in found)
        and _words(body, "Entrypoint", template.command)
        and _words(body, "Cmd", template.args)
    )


def _ready(name: str, body: Body, key: Key, stack: Templates, known: Known) -> bool:
    template = stack.servers.get(key.server)
    mode = str(body["HostConfig"].get("NetworkMode"))
    target = known.instance(mode.removeprefix("container:"))
    owner = _owner(body)
    if template is None or template.bridge is not None or target is None or target.key != key or owner is None:
        return False
    wanted_host = _limits(64, 1.0, template.amounts.processes) | {
        "NetworkMode": f"container:{target.id}",
        "ReadonlyRootfs": True,
        "Mounts": [],
        "VolumesFrom": [],
    }
    asked = (str(template.port), str(template.start_seconds), template.path, template.health_path)
    return (
        name == f"{target.name}-ready"
        and target.uid == owner[0]
        and _top(body, stack.ready_image, _TOP - {"Hostname"})
        and _idle(body)
        and same(body.get("Entrypoint"), ["/usr/bin/python3", "-I", "-c", stack.ready_script])
        and same(body.get("Cmd"), [word for word in asked if word])
        and same(_marks(body), _base(stack, key, READY))
        and same(body["HostConfig"], wanted_host)
    )


def _delivery(name: str, body: Body, key: Key, stack: Templates) -> bool:
    template = stack.servers.get(key.server)
    return (
        template is not None
        and name == f"{instance_name(template.name, key.subject)}-delivery"
        and _top(body, stack.ready_image, _TOP | {"Volumes"})
        and same(body.get("Volumes"), {"/run/mcp": {}})
        and _never_run(body, key, stack, [])
    )


def _keeper(name: str, body: Body, key: Key, stack: Templates, known: Known) -> bool:
    match body["HostConfig"].get("Mounts"):
        case [{"Source": str(source), "ReadOnly": bool(read_only)}]:
            volume = known.volumes.get(source)
        case _:
            return False
    return (
        volume is not None
        and volume.key == key
        and re.fullmatch(
            re.escape(source.removesuffix("-data")) + (r"-export-[0-9a-f]{8}" if read_only else "-keeper"), name
        )
        is not None
        and _top(body, stack.ready_image, _TOP)
        and _never_run(body, key, stack, [_volume(source, "/data", read_only)])
    )


def _never_run(body: Body, key: Key, stack: Templates, mounts: list[Body]) -> bool:
    wanted_host = _limits(16, 1.0, 16) | {
        "NetworkMode": "none",
        "ReadonlyRootfs": False,
        "Mounts": mounts,
        "VolumesFrom": [],
    }
    return (
        body.get("Hostname") == "instance"
        and body.get("User") == "65534:65534"
        and _idle(body)
        and same(body.get("Entrypoint"), ["/bin/false"])
        and same(body.get("Cmd"), [])
        and same(_marks(body), _base(stack, key, DELIVERY))
        and same(body["HostConfig"], wanted_host)
    )


def _idle(body: Body) -> bool:
    return body.get("OpenStdin") is False and body.get("StdinOnce") is False and same(body.get("Env"), [])


def _top(body: Body, image: str, fields: frozenset[str]) -> bool:
    optional = {"Entrypoint", "Cmd"}
    return (
        fields - optional <= body.keys() <= fields
        and body.get("Image") == image
        and body.get("Tty") is False
        and same(body.get("Healthcheck"), {"Test": ["NONE"]})
    )


def _limits(memory_mib: int, cpus: float, processes: int) -> dict[str, Any]:
    return {
        "Memory": memory_mib * _MIB,
        "MemorySwap": memory_mib * _MIB,
        "NanoCpus": round(cpus * 10**9),
        "PidsLimit": processes,
        "Ulimits": [{"Name": "nproc", "Soft": processes, "Hard": processes}],
        "CapAdd": [],
        "CapDrop": ["ALL"],
        "Privileged": False,
        "PublishAllPorts": False,
        "PortBindings": {},
        "Binds": [],
        "SecurityOpt": ["no-new-privileges:true"],
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}},
    }


def _memory_folders(template: Template, owner: tuple[int, int]) -> dict[str, str]:
    found = {"/tmp": "rw,noexec,nosuid,nodev,mode=1777,size=64m"}  # noqa: S108 - in the container
    own = f"nosuid,nodev,uid={owner[0]},gid={owner[1]},mode=0700"
    if template.bridge is not None and template.volume_path != "/data":
        found["/data"] = f"rw,exec,{own},size=1024m" if template.installs else f"rw,noexec,{own},size=64m"
    if template.bridge is not None and template.files:
        found["/run/mcp/files"] = f"rw,noexec,{own},size=16m"
    return found


def _volume(source: str, target: str, read_only: bool) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "VolumeOptions": {"NoCopy": True},
    }


def _base(stack: Templates, key: Key, role: str) -> dict[str, str]:
    marks = {"stack": stack.stack, "part": key.server, "role": role, "subject": key.subject}
    return {f"{_PREFIX}{name}": value for name, value in marks.items()}


def _marks(body: Body) -> Mapping[str, str]:
    found = body.get("Labels")
    return found if isinstance(found, Mapping) else {}


def _key(body: Body) -> Key | None:
    server, subject = (_marks(body).get(f"{_PREFIX}{name}") for name in ("part", "subject"))
    if not isinstance(server, str) or not isinstance(subject, str):
        return None
    return Key(server, subject) if SERVER_ID.fullmatch(server) and SUBJECT.fullmatch(subject) else None


def _owner(body: Body) -> tuple[int, int] | None:
    user = body.get("User")
    found = re.fullmatch(r"([1-9][0-9]{0,9}):([1-9][0-9]{0,9})", user) if isinstance(user, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _ownerfits(owner: tuple[int, int], template: Template, stack: Templates, volume_uid: int | None) -> bool:
    if template.user is not None:
        return owner == template.user
    if owner[0] != owner[1]:
        return False
    return owner[0] == volume_uid or stack.first_uid <= owner[0] < stack.first_uid + stack.uid_count


def _is_uid(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,9}", text) is not None


def _block(subnet: str) -> IPv4Network | None:
    try:
        found = IPv4Network(subnet)
    except ValueError:
        return None
    return found if found.prefixlen == 29 and str(found) == subnet else None


def _words(body: Body, field: str, words: Sequence[Pieces]) -> bool:
    if not words:
        return field not in body
    found = body.get(field)
    return (
        isinstance(found, list)
        and len(found) == len(words)
        and all(isinstance(text, str) and fits(pieces, text) for pieces, text in zip(words, found, strict=True))
    )
