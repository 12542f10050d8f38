"""The engine's bodies for an instance: pure. All hardening is here, and no template can change it.

Source: Docker Engine API 1.41, `NetworkCreate`, `VolumeCreate`, `ContainerCreate`.
"""

import json
from collections.abc import Mapping
from typing import Any

from mcp_launcher.allocation import Place
from mcp_launcher.owned import DATA, DELIVERY, INSTANCE, READY, Key, instance_name, labels
from mcp_launcher.placeholders import FILES_FOLDER, Filled
from mcp_launcher.state import EDGE_ADDRESS_LABEL
from mcp_launcher.templates import Template

Body = dict[str, Any]

MEBIBYTE = 1024 * 1024
WORK = "/data"
SECRETS = "/run/mcp"
KEPT = "/data"
"""Where a keeper mounts a volume, whatever the template's path."""
RUNNER_VERSION = 1
LOG_DRIVER = "json-file"
LOG_OPTIONS = {"max-size": "10m", "max-file": "5"}
NO_RESOLVER = ["127.0.0.1"]
NO_HOST_ADDRESS = {"com.docker.network.bridge.inhibit_ipv4": "true"}
TEMPORARY = "rw,noexec,nosuid,nodev"
INSTALLING = "rw,exec,nosuid,nodev"
TEMPORARY_MIB, INSTALLING_MIB, FILES_MIB = 64, 1024, 16
HELPER_PROCESSES = 16
HELPER_MIB, READY_MIB = 16, 64
HOSTNAME = "instance"
NOBODY = "65534:65534"


def network(stack: str, template: Template, key: Key, place: Place) -> Body:
    """`POST /networks/create`: the instance's own, with nobody else on it but the edge."""
    return {
        "Name": instance_name(template.name, key.subject),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Internal": not template.internet,
        "Attachable": False,
        "Ingress": False,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": str(place.subnet), "Gateway": place.gateway}]},
        "Options": {} if template.internet else dict(NO_HOST_ADDRESS),
        "Labels": labels(stack, key, INSTANCE) | {EDGE_ADDRESS_LABEL: place.edge_address},
    }


def volume(stack: str, template: Template, key: Key, uid: int) -> Body:
    """`POST /volumes/create`: the user's data of this server."""
    return {
        "Name": f"{instance_name(template.name, key.subject)}-data",
        "Driver": "local",
        "DriverOpts": {},
        "Labels": labels(stack, key, DATA, uid=str(uid)),
    }


def instance(
    stack: str, template: Template, key: Key, place: Place, owner: tuple[int, int], filled: Filled, revision: str
) -> Body:
    """`POST /containers/create` of the instance itself; `owner` is its uid and gid."""
    name = instance_name(template.name, key.subject)
    amounts, bridged = template.amounts, template.bridge is not None
    uid, gid = owner
    host = _hardened(amounts.processes, amounts.memory_mib, amounts.cpus) | {
        "NetworkMode": name,
        "ReadonlyRootfs": True,
        "Tmpfs": temporary(template, uid, gid),
        "Mounts": [_mount(f"{name}-data", template.volume_path, read_only=False)] if template.volume_path else [],
        "VolumesFrom": [f"{name}-delivery:ro"] if filled.files and not bridged else [],
    }
    if amounts.reserved_memory_mib is not None:
        host["MemoryReservation"] = amounts.reserved_memory_mib * MEBIBYTE
    if amounts.cpu_shares is not None:
        host["CpuShares"] = amounts.cpu_shares
    if not template.internet:
        host["Dns"] = list(NO_RESOLVER)
    if template.runtime is not None:
        host["Runtime"] = template.runtime
    body = _container(
        template.image,
        f"{uid}:{gid}",
        labels(stack, key, INSTANCE, uid=str(uid), template=template.digest, revision=revision),
        host,
    )
    body["NetworkingConfig"] = {"EndpointsConfig": {name: {"IPAMConfig": {"IPv4Address": place.address}}}}
    if bridged:
        return body | {
            "Env": [f"HOME={WORK}"],
            "Cmd": ["--config", "-"],
            "Entrypoint": list(RUNNER),
            "OpenStdin": True,
            "StdinOnce": True,
        }
    body["Env"] = sorted(f"{key}={value}" for key, value in {**filled.env, **filled.secret_env}.items())
    if filled.command:
        body["Entrypoint"] = list(filled.command)
    if filled.args:
        body["Cmd"] = list(filled.args)
    return body


RUNNER = ("/opt/runner/bin/python", "-I", "-m", "mcp_runner")
"""The runner in every image that bridges a stdio program (templates/images/runtime-*.Dockerfile.j2)."""


def delivery(stack: str, image: str, key: Key) -> Body:
    """`POST /containers/create` of one that never runs and holds files for an instance.

    `image` declares no volumes: the instance would be given them too.
    """
    return _never_run(image, labels(stack, key, DELIVERY)) | {"Volumes": {SECRETS: {}}}


def keeper(stack: str, image: str, key: Key, volume_name: str, *, read_only: bool) -> Body:
    """`POST /containers/create` of one that never runs and gives access to a volume: Docker offers no other way."""
    body = _never_run(image, labels(stack, key, DELIVERY))
    body["HostConfig"]["Mounts"] = [_mount(volume_name, KEPT, read_only=read_only)]
    return body


def ready(
    stack: str, image: str, script: str, template: Template, key: Key, owner: tuple[int, int], instance_id: str
) -> Body:
    """`POST /containers/create` of the one-shot that asks in the instance's network until it is ready."""
    host = _hardened(template.amounts.processes, READY_MIB, 1.0) | {
        "NetworkMode": f"container:{instance_id}",
        "ReadonlyRootfs": True,
        "Mounts": [],
        "VolumesFrom": [],
    }
    body = _container(image, f"{owner[0]}:{owner[1]}", labels(stack, key, READY), host)
    del body["Hostname"]  # the engine refuses one beside another container's network
    asked = (str(template.port), str(template.start_seconds), template.path, template.health_path)
    return body | {
        "Env": [],
        "Entrypoint": ["/usr/bin/python3", "-I", "-c", script],
        "Cmd": [word for word in asked if word],
    }


def runner_document(template: Template, filled: Filled) -> bytes:
    """The runner's configuration (docs/contracts.md, section 6), for its standard input."""
    bridge = template.bridge
    if bridge is None:
        raise TypeError("the image speaks HTTP itself")
    document: Body = {
        "version": RUNNER_VERSION,
        "command": list(filled.command),
        "env": dict(filled.env),
        "cwd": WORK,
        "session": bridge.session,
        "sessionIdleSeconds": bridge.session_idle_seconds,
        "maxSessions": bridge.max_sessions,
        "startupSeconds": template.start_seconds,
        "requestBytes": template.request_bytes,
    }
    if filled.secret_env:
        document["secretEnv"] = dict(filled.secret_env)
    if filled.files:
        document["files"] = dict(filled.files)
    return json.dumps(document, ensure_ascii=False).encode()


def temporary(template: Template, uid: int, gid: int) -> dict[str, str]:
    """The folders in memory of an instance."""
    found = {"/tmp": f"{TEMPORARY},mode=1777,size={TEMPORARY_MIB}m"}  # noqa: S108 - in the container
    if template.bridge is None:
        return found
    owner = f"uid={uid},gid={gid},mode=0700"
    if template.volume_path != WORK:
        options, size = (INSTALLING, INSTALLING_MIB) if template.installs else (TEMPORARY, TEMPORARY_MIB)
        found[WORK] = f"{options},{owner},size={size}m"
    if template.files:
        found[FILES_FOLDER] = f"{TEMPORARY},{owner},size={FILES_MIB}m"
    return found


def _container(image: str, user: str, marks: Mapping[str, str], host: Body) -> Body:
    return {
        "Image": image,
        "Hostname": HOSTNAME,
        "User": user,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": dict(marks),
        "HostConfig": host,
    }


def _never_run(image: str, marks: Mapping[str, str]) -> Body:
    # Docker copies nothing into a root file system that is read-only; nothing ever runs in this one.
    host = _hardened(HELPER_PROCESSES, HELPER_MIB, 1.0) | {
        "NetworkMode": "none",
        "ReadonlyRootfs": False,
        "Mounts": [],
        "VolumesFrom": [],
    }
    body = _container(image, NOBODY, marks, host)
    return body | {"Env": [], "Entrypoint": ["/bin/false"], "Cmd": []}


def _hardened(processes: int, memory_mib: int, cpus: float) -> Body:
    return {
        "Memory": memory_mib * MEBIBYTE,
        "MemorySwap": memory_mib * MEBIBYTE,
        "NanoCpus": round(cpus * 1_000_000_000),
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
        "LogConfig": {"Type": LOG_DRIVER, "Config": dict(LOG_OPTIONS)},
    }


def _mount(source: str, target: str, *, read_only: bool) -> Body:
    return {
        "Type": "volume",
        "Source": source,
        "Target": target,
        "ReadOnly": read_only,
        "VolumeOptions": {"NoCopy": True},
    }
