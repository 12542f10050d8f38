"""A container as the engine shows it -> inputs and outputs. Pure.

A container's settings cannot change while it lives, save its name, limits, restart policy and networks: only these are
compared on refresh, and of the networks only those that the inputs state (others may be joined at run time).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from docker_provider.container_body import MEBIBYTE
from docker_provider.properties import Properties

Inspected = Mapping[str, Any]


def runs(inspected: Inspected) -> bool:
    """Whether the container is up, or will be again by its restart policy."""
    state = inspected["State"]
    return bool(state.get("Running") or state.get("Restarting"))


def outputs(inputs: Properties, inspected: Inspected) -> Properties:
    """The inputs, and what the engine filled in or assigned."""
    config, host = inspected["Config"], inspected["HostConfig"]
    assigned: Properties = {
        "hostname": config.get("Hostname"),
        "command": config.get("Cmd"),
        "entrypoints": config.get("Entrypoint"),
        "init": bool(host.get("Init")),
        "ipcMode": host.get("IpcMode"),
        "logDriver": host["LogConfig"]["Type"],
        "runtime": host.get("Runtime"),
        "securityOpts": host.get("SecurityOpt"),
        "shmSize": host.get("ShmSize", 0) // MEBIBYTE,
        "stopSignal": config.get("StopSignal"),
        "stopTimeout": config.get("StopTimeout"),
    }
    properties = {key: value for key, value in assigned.items() if value is not None} | inputs
    properties["bridge"] = inspected["NetworkSettings"].get("Bridge", "")
    properties["networkDatas"] = _network_datas(inspected)
    if "ports" in inputs:
        properties["ports"] = _bound_ports(inputs["ports"], inspected)
    if not runs(inspected):
        properties["exitCode"] = inspected["State"].get("ExitCode", 0)
    return properties


def drifted(inputs: Properties, inspected: Inspected) -> Properties:
    """`inputs` with what was changed behind the program's back put in its place."""
    host = inspected["HostConfig"]
    actual: Properties = {
        "name": inspected["Name"].lstrip("/"),
        "restart": host["RestartPolicy"]["Name"] or "no",
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
    }
    # 0 (and -1 for swap) is what the engine shows where the kernel has no such limit: not a change.
    actual |= {key: value for key, value in _limits(host).items() if value not in (0, -1, "", "0")}
    changed = {key: value for key, value in actual.items() if key in inputs and not _equal(inputs[key], value)}
    stated = inputs.get("networksAdvanced", [])
    attached = [network for network in stated if _attached(network, inspected)]
    if len(attached) != len(stated):
        changed["networksAdvanced"] = attached
    return {**inputs, **changed}


def imported(inspected: Inspected, image: Inspected | None) -> Properties:
    """Inputs that would make such a container; what its image says is left to the image."""
    config, host = inspected["Config"], inspected["HostConfig"]
    base: Mapping[str, Any] = (image or {}).get("Config") or {}
    restart = host["RestartPolicy"]
    own_labels = {
        key: text for key, text in (config.get("Labels") or {}).items() if (base.get("Labels") or {}).get(key) != text
    }
    inputs: Properties = {
        "name": inspected["Name"].lstrip("/"),
        "image": config["Image"],
        "command": _unless(config.get("Cmd"), base.get("Cmd")),
        "entrypoints": _unless(config.get("Entrypoint"), base.get("Entrypoint")),
        "user": _unless(config.get("User"), base.get("User")),
        "workingDir": _unless(config.get("WorkingDir"), base.get("WorkingDir")),
        "envs": [item for item in config.get("Env") or [] if item not in (base.get("Env") or [])],
        "labels": [{"label": key, "value": text} for key, text in sorted(own_labels.items())],
        "restart": restart["Name"] if restart["Name"] not in ("", "no") else None,
        "maxRetryCount": restart["MaximumRetryCount"],
        "readOnly": host.get("ReadonlyRootfs"),
        "privileged": host.get("Privileged"),
        "capabilities": _stated({"adds": host.get("CapAdd"), "drops": host.get("CapDrop")}),
        "securityOpts": host.get("SecurityOpt"),
        "tmpfs": host.get("Tmpfs"),
        "mounts": [_mount(mount) for mount in host.get("Mounts") or []],
        "volumes": [_volume(bind) for bind in host.get("Binds") or []],
        "ports": [
            _stated(
                {"internal": int(port.split("/")[0]), "external": int(bound["HostPort"] or 0), "ip": bound["HostIp"]}
            )
            | ({"protocol": port.split("/")[1]} if not port.endswith("/tcp") else {})
            for port, bindings in sorted((host.get("PortBindings") or {}).items())
            for bound in bindings or []
        ],
        "ulimits": [{"name": u["Name"], "soft": u["Soft"], "hard": u["Hard"]} for u in host.get("Ulimits") or []],
        "dns": host.get("Dns"),
        "groupAdds": host.get("GroupAdd"),
        "sysctls": host.get("Sysctls"),
        "networksAdvanced": [
            _stated({"name": name, "ipv4Address": (settings.get("IPAMConfig") or {}).get("IPv4Address")})
            for name, settings in inspected["NetworkSettings"]["Networks"].items()
            if name not in ("bridge", "host", "none")
        ],
        "networkMode": host["NetworkMode"] if host["NetworkMode"] in ("host", "none") else None,
        "mustRun": None if runs(inspected) else False,
        "start": None if runs(inspected) else False,
        **{key: value for key, value in _limits(host).items() if value != -1 and value != "0"},
    }
    return _stated(inputs) | ({"mustRun": False} if not runs(inspected) else {})


def _limits(host: Mapping[str, Any]) -> Properties:
    swap = host.get("MemorySwap", 0)
    return {
        "memory": host.get("Memory", 0) // MEBIBYTE,
        "memoryReservation": host.get("MemoryReservation", 0) // MEBIBYTE,
        "memorySwap": swap // MEBIBYTE if swap > 0 else swap,
        "cpus": format((Decimal(host.get("NanoCpus", 0)) / 10**9).normalize(), "f"),
        "cpuPeriod": host.get("CpuPeriod", 0),
        "cpuQuota": host.get("CpuQuota", 0),
        "cpuShares": host.get("CpuShares", 0),
        "cpuSet": host.get("CpusetCpus", ""),
    }


def _equal(stated: Any, actual: Any) -> bool:
    try:
        return bool(stated == actual) or Decimal(str(stated)) == Decimal(str(actual))
    except ArithmeticError:
        return False


def _attached(network: Mapping[str, Any], inspected: Inspected) -> bool:
    for name, settings in inspected["NetworkSettings"]["Networks"].items():
        if network["name"] in (name, settings.get("NetworkID")):
            address = (settings.get("IPAMConfig") or {}).get("IPv4Address")
            return "ipv4Address" not in network or network["ipv4Address"] in (address, settings.get("IPAddress"))
    return False


def _network_datas(inspected: Inspected) -> list[Properties]:
    return [
        {
            "networkName": name,
            "ipAddress": settings.get("IPAddress", ""),
            "ipPrefixLength": settings.get("IPPrefixLen", 0),
            "gateway": settings.get("Gateway", ""),
            "globalIpv6Address": settings.get("GlobalIPv6Address", ""),
            "globalIpv6PrefixLength": settings.get("GlobalIPv6PrefixLen", 0),
            "ipv6Gateway": settings.get("IPv6Gateway", ""),
            "macAddress": settings.get("MacAddress", ""),
        }
        for name, settings in inspected["NetworkSettings"]["Networks"].items()
    ]


def _bound_ports(ports: list[Properties], inspected: Inspected) -> list[Properties]:
    """The stated ports, those without an external number with the one that the engine chose."""
    bound = inspected["NetworkSettings"].get("Ports") or {}
    result = []
    for port in ports:
        bindings = bound.get(f"{port['internal']}/{port.get('protocol', 'tcp')}") or []
        chosen = int(bindings[0]["HostPort"]) if bindings and not port.get("external") else port.get("external")
        result.append(_stated({**port, "external": chosen}))
    return result


def _mount(mount: Mapping[str, Any]) -> Properties:
    keys = {"type": "Type", "source": "Source", "target": "Target", "readOnly": "ReadOnly"}
    return _stated({key: mount.get(name) for key, name in keys.items()})


def _volume(bind: str) -> Properties:
    source, path, *options = bind.split(":")
    place = {"hostPath": source} if source.startswith("/") else {"volumeName": source}
    return {**place, "containerPath": path, **({"readOnly": True} if "ro" in "".join(options).split(",") else {})}


def _unless(value: Any, base: Any) -> Any:
    return None if value == base else value


def _stated(properties: Mapping[str, Any]) -> Properties:
    return {key: value for key, value in properties.items() if value}
