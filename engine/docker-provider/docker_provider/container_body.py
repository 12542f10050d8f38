"""Container inputs -> the bodies of the Docker Engine API. Pure: no I/O, no engine, no state.

Source: Docker Engine API 1.41, `ContainerCreate`, `ContainerUpdate`, `NetworkConnect`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Body = dict[str, Any]

MEBIBYTE = 1024 * 1024
_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def nanoseconds(duration: str) -> int:
    """A Go duration ("1m30s", "500ms") in nanoseconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", duration)
    return int(sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in parts))


def labels(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Labels as the map that the engine wants."""
    return {item["label"]: item["value"] for item in inputs.get("labels", [])}


def create_body(inputs: Mapping[str, Any]) -> Body:
    """The body of `POST /containers/create`."""
    body: Body = {
        "Image": inputs["image"],
        "Hostname": inputs.get("hostname"),
        "Domainname": inputs.get("domainname"),
        "User": inputs.get("user"),
        "Tty": inputs.get("tty"),
        "OpenStdin": inputs.get("stdinOpen"),
        "Env": inputs.get("envs"),
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "WorkingDir": inputs.get("workingDir"),
        "Labels": labels(inputs),
        "ExposedPorts": {_port(item): {} for item in inputs.get("ports", [])},
        "Volumes": {item["containerPath"]: {} for item in inputs.get("volumes", []) if _anonymous(item)},
        "StopSignal": inputs.get("stopSignal"),
        "StopTimeout": inputs.get("stopTimeout"),
        "HostConfig": _host_config(inputs),
    }
    if "healthcheck" in inputs:
        body["Healthcheck"] = _healthcheck(inputs["healthcheck"])
    networks = inputs.get("networksAdvanced", [])
    if networks:
        body["NetworkingConfig"] = {"EndpointsConfig": {networks[0]["name"]: endpoint(networks[0])}}
    return {key: value for key, value in body.items() if value is not None}


def endpoint(network: Mapping[str, Any]) -> Body:
    """The `EndpointConfig` of one of `networksAdvanced`."""
    addresses = {
        "IPv4Address": network.get("ipv4Address"),
        "IPv6Address": network.get("ipv6Address"),
        "LinkLocalIPs": network.get("linkLocalIps"),
    }
    return {
        "Aliases": network.get("aliases", []),
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
    }


def update_body(inputs: Mapping[str, Any]) -> Body:
    """The body of `POST /containers/{id}/update`: the limits and the restart policy."""
    limits = _limits(inputs)
    if "Memory" in limits and "MemorySwap" not in limits:
        # The engine made it twice the memory at creation, and refuses more memory than that.
        limits["MemorySwap"] = 2 * limits["Memory"]
    return {**limits, "RestartPolicy": _restart_policy(inputs)}


def _host_config(inputs: Mapping[str, Any]) -> Body:
    networks = inputs.get("networksAdvanced", [])
    capabilities = inputs.get("capabilities", {})
    volumes = inputs.get("volumes", [])
    bindings: dict[str, list[Body]] = {}
    for item in inputs.get("ports", []):
        external = str(item["external"]) if item.get("external") else ""
        bindings.setdefault(_port(item), []).append({"HostIp": item.get("ip", "0.0.0.0"), "HostPort": external})  # noqa: S104
    config: Body = {
        **_limits(inputs),
        "RestartPolicy": _restart_policy(inputs),
        # Made on its first network at once: never on the default bridge, not even for a moment.
        "NetworkMode": networks[0]["name"] if networks else inputs.get("networkMode"),
        "AutoRemove": inputs.get("rm"),
        "Binds": [bind for item in volumes if (bind := _bind(item))],
        "VolumesFrom": [item["fromContainer"] for item in volumes if item.get("fromContainer")],
        "Mounts": [_mount(item) for item in inputs.get("mounts", [])],
        "Tmpfs": inputs.get("tmpfs"),
        "PortBindings": bindings,
        "PublishAllPorts": inputs.get("publishAllPorts"),
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "Privileged": inputs.get("privileged"),
        "ReadonlyRootfs": inputs.get("readOnly"),
        "SecurityOpt": inputs.get("securityOpts"),
        "GroupAdd": inputs.get("groupAdds"),
        "Dns": inputs.get("dns"),
        "DnsOptions": inputs.get("dnsOpts"),
        "DnsSearch": inputs.get("dnsSearches"),
        "ExtraHosts": [f"{item['host']}:{item['ip']}" for item in inputs.get("hosts", [])],
        "Ulimits": [
            {"Name": item["name"], "Soft": item["soft"], "Hard": item["hard"]} for item in inputs.get("ulimits", [])
        ],
        "ShmSize": inputs["shmSize"] * MEBIBYTE if inputs.get("shmSize") else None,
        "Sysctls": inputs.get("sysctls"),
        "StorageOpt": inputs.get("storageOpts"),
        "CgroupParent": inputs.get("cgroupParent"),
        "CgroupnsMode": inputs.get("cgroupnsMode"),
        "IpcMode": inputs.get("ipcMode"),
        "PidMode": inputs.get("pidMode"),
        "UsernsMode": inputs.get("usernsMode"),
        "Runtime": inputs.get("runtime"),
        "Init": inputs.get("init"),
        "LogConfig": {"Type": inputs.get("logDriver", ""), "Config": inputs.get("logOpts", {})},
    }
    return {key: value for key, value in config.items() if value is not None}


def _limits(inputs: Mapping[str, Any]) -> Body:
    swap = inputs.get("memorySwap")
    limits: Body = {
        "Memory": inputs["memory"] * MEBIBYTE if "memory" in inputs else None,
        "MemoryReservation": inputs["memoryReservation"] * MEBIBYTE if "memoryReservation" in inputs else None,
        "MemorySwap": swap * MEBIBYTE if swap is not None and swap > 0 else swap,
        "CpuShares": inputs.get("cpuShares"),
        "CpusetCpus": inputs.get("cpuSet"),
    }
    if "cpus" in inputs:  # has precedence over period and quota, which the engine refuses beside it
        limits["NanoCpus"] = int(Decimal(inputs["cpus"]) * 10**9)
    else:
        limits |= {"CpuPeriod": inputs.get("cpuPeriod"), "CpuQuota": inputs.get("cpuQuota")}
    return {key: value for key, value in limits.items() if value is not None}


def _restart_policy(inputs: Mapping[str, Any]) -> Body:
    return {"Name": inputs.get("restart", "no"), "MaximumRetryCount": inputs.get("maxRetryCount", 0)}


def _healthcheck(check: Mapping[str, Any]) -> Body:
    body: Body = {
        "Test": check.get("tests", []),
        "Interval": nanoseconds(check.get("interval", "0s")),
        "Timeout": nanoseconds(check.get("timeout", "0s")),
        "StartPeriod": nanoseconds(check.get("startPeriod", "0s")),
        "Retries": check.get("retries", 0),
    }
    if start_interval := nanoseconds(check.get("startInterval", "0s")):
        body["StartInterval"] = start_interval
    return body


def _port(port: Mapping[str, Any]) -> str:
    return f"{port['internal']}/{port.get('protocol', 'tcp')}"


def _anonymous(volume: Mapping[str, Any]) -> bool:
    named = volume.get("hostPath") or volume.get("volumeName") or volume.get("fromContainer")
    return bool(volume.get("containerPath")) and not named


def _bind(volume: Mapping[str, Any]) -> str | None:
    source = volume.get("hostPath") or volume.get("volumeName")
    if not source or not volume.get("containerPath"):
        return None
    options = ["ro" if volume.get("readOnly") else "rw", *filter(None, [volume.get("selinuxRelabel")])]
    return f"{source}:{volume['containerPath']}:{','.join(options)}"


def _mount(mount: Mapping[str, Any]) -> Body:
    body: Body = {"Type": mount["type"], "Target": mount["target"], "ReadOnly": mount.get("readOnly", False)}
    if "source" in mount:
        body["Source"] = mount["source"]
    if "bindOptions" in mount:
        body["BindOptions"] = {"Propagation": mount["bindOptions"].get("propagation", "")}
    if tmpfs := mount.get("tmpfsOptions"):
        body["TmpfsOptions"] = {"SizeBytes": tmpfs.get("sizeBytes", 0), "Mode": tmpfs.get("mode", 0)}
    if volume := mount.get("volumeOptions"):
        body["VolumeOptions"] = {"NoCopy": volume.get("noCopy", False), "Labels": labels(volume)}
        if "driverName" in volume or "driverOptions" in volume:
            driver = {"Name": volume.get("driverName", ""), "Options": volume.get("driverOptions", {})}
            body["VolumeOptions"]["DriverConfig"] = driver
    return body
