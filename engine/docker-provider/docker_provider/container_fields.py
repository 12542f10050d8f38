"""The input properties of `docker:index/container:Container` that are supported, as in pulumi-docker 5.2.0.

Whether a change replaces the container follows the real plugin, except where that one takes a change for done without
doing anything (`tmpfs`, `healthcheck`, `init`, `rm`): here it replaces.
"""

from docker_provider.fields import LABELS, Change, Fields, boolean, integer, mapping, nested, several, string, strings

_DURATION = r"\d+(\.\d+)?(ns|us|ms|s|m|h)(\d+(\.\d+)?(ns|us|ms|s|m|h))*|0"
_MODE = r"0?[0-7]{3,4}"

_MOUNT: Fields = {
    "type": string(required=True, pattern="bind|volume|tmpfs"),
    "target": string(required=True),
    "source": string(),
    "readOnly": boolean(default=False),
    "bindOptions": nested({"propagation": string(pattern="r?(private|shared|slave)")}),
    "tmpfsOptions": nested({"mode": integer(), "sizeBytes": integer()}),
    "volumeOptions": nested(
        {"driverName": string(), "driverOptions": mapping(), "labels": LABELS, "noCopy": boolean(default=False)}
    ),
}
_VOLUME: Fields = {
    "containerPath": string(),
    "fromContainer": string(),
    "hostPath": string(pattern=r"/.*"),
    "readOnly": boolean(default=False),
    "selinuxRelabel": string(pattern="z|Z"),
    "volumeName": string(),
}
_UPLOAD: Fields = {
    "file": string(required=True, pattern=r"/.*[^/]"),
    "content": string(),
    "contentBase64": string(),
    "source": string(),
    "sourceHash": string(),
    "executable": boolean(default=False),
    "permissions": string(pattern=_MODE),
    "owner": string(pattern=r"\d+"),
    "group": string(pattern=r"\d+"),
}
_PORT: Fields = {
    "internal": integer(required=True),
    "external": integer(),
    "ip": string(default="0.0.0.0"),  # noqa: S104 - the real plugin's default; a program that wants less says so
    "protocol": string(default="tcp", pattern="tcp|udp|sctp"),
}
_NETWORK: Fields = {
    "name": string(required=True),
    "aliases": strings(unordered=True),
    "ipv4Address": string(),
    "ipv6Address": string(),
    "linkLocalIps": strings(unordered=True),
}
_HEALTHCHECK: Fields = {
    "tests": strings(),
    "interval": string(pattern=_DURATION, default="0s"),
    "timeout": string(pattern=_DURATION, default="0s"),
    "startPeriod": string(pattern=_DURATION, default="0s"),
    "startInterval": string(pattern=_DURATION, default="0s"),
    "retries": integer(default=0),
}

CONTAINER: Fields = {
    "attach": boolean(default=False, change=Change.UPDATE),
    "capabilities": nested({"adds": strings(unordered=True), "drops": strings(unordered=True)}),
    "cgroupParent": string(),
    "cgroupnsMode": string(pattern="private|host"),
    "command": strings(),
    "containerReadRefreshTimeoutMilliseconds": integer(default=15000, change=Change.UPDATE),
    "cpuPeriod": integer(change=Change.SET),
    "cpuQuota": integer(change=Change.SET),
    "cpuSet": string(change=Change.SET, pattern=r"\d+([,-]\d+)*"),
    "cpuShares": integer(change=Change.SET),
    "cpus": string(change=Change.SET, pattern=r"\d+(\.\d+)?"),
    "destroyGraceSeconds": integer(change=Change.UPDATE),
    "dns": strings(unordered=True),
    "dnsOpts": strings(unordered=True),
    "dnsSearches": strings(unordered=True),
    "domainname": string(),
    "entrypoints": strings(),
    "envs": strings(unordered=True),
    "groupAdds": strings(unordered=True),
    "healthcheck": nested(_HEALTHCHECK),
    "hostname": string(),
    "hosts": several({"host": string(required=True), "ip": string(required=True)}, unordered=True),
    "image": string(required=True),
    "init": boolean(),
    "ipcMode": string(),
    "labels": LABELS,
    "logDriver": string(),
    "logOpts": mapping(),
    "logs": boolean(default=False, change=Change.UPDATE),
    "maxRetryCount": integer(change=Change.UPDATE),
    "memory": integer(change=Change.SET),
    "memoryReservation": integer(change=Change.SET),
    "memorySwap": integer(change=Change.SET),
    "mounts": several(_MOUNT, unordered=True),
    "mustRun": boolean(default=True, change=Change.UPDATE),
    "name": string(),
    "networkMode": string(default="bridge"),
    "networksAdvanced": several(_NETWORK, unordered=True),
    "pidMode": string(),
    "ports": several(_PORT),
    "privileged": boolean(),
    "publishAllPorts": boolean(),
    "readOnly": boolean(default=False),
    "removeVolumes": boolean(default=True, change=Change.UPDATE),
    "restart": string(default="no", change=Change.UPDATE, pattern="no|on-failure|always|unless-stopped"),
    "rm": boolean(default=False),
    "runtime": string(),
    "securityOpts": strings(unordered=True),
    "shmSize": integer(),
    "start": boolean(default=True, change=Change.UPDATE),
    "stdinOpen": boolean(default=False),
    "stopSignal": string(),
    "stopTimeout": integer(),
    "storageOpts": mapping(),
    "sysctls": mapping(),
    "tmpfs": mapping(),
    "tty": boolean(default=False),
    "ulimits": several(
        {"name": string(required=True), "soft": integer(required=True), "hard": integer(required=True)}, unordered=True
    ),
    "uploads": several(_UPLOAD, unordered=True),
    "user": string(),
    "usernsMode": string(),
    "volumes": several(_VOLUME, unordered=True),
    "wait": boolean(default=False, change=Change.UPDATE),
    "waitTimeout": integer(default=60, change=Change.UPDATE),
    "workingDir": string(),
}

LIMITS = ("memory", "memoryReservation", "memorySwap", "cpus", "cpuPeriod", "cpuQuota", "cpuShares", "cpuSet")
"""What the engine can change while the container runs, beside the restart policy."""
