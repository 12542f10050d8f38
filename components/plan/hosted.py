"""Plans what is run for a server of this stack, for all its users or for each: image, command, environment, files,
limits, egress.
"""

from __future__ import annotations

import math
from typing import Literal

from components import hardening
from components.catalog.entry import ContainerizedConfig, HostedConfig, NpxConfig, Usage, UvxConfig
from components.catalog.quantity import cpu_milli, memory_bytes
from components.config.stack import ServerConfig, StackConfig, UnrestrictedEgress
from components.errors import shown
from components.plan.exposure import check_exposure
from components.plan.model import (
    Amounts,
    Bridge,
    Deviation,
    File,
    Hosted,
    Image,
    Instance,
    LocalFolderImage,
    NpxImage,
    Place,
    PulledImage,
    StartImage,
    UvxImage,
)
from components.plan.packages import image_pinned, npm_pinned, npm_wrong, python_pinned, requirement
from components.plan.report import Report
from components.plan.text import Text
from components.plan.values import Values, fill

FILES = "/run/mcp/files"
"""Where files of settings are; a variable named by the setting holds the path."""
RUNNER_PORT = 8080
RUNNER_PATH = "/mcp"
_FILE = (Usage.FILE, Usage.DYNAMIC_FILE)
_MIB = 1024 * 1024
_SMALLEST_CPU_MILLI = 10


def hosted(
    report: Report, config: ServerConfig, stack: StackConfig, values: Values, where: Place | Instance
) -> Hosted | None:
    """Return what is run; None when it can't be planned (the report says why)."""
    entry = report.entry
    runtime = entry.runtime_config
    if not isinstance(runtime, HostedConfig):
        raise TypeError(f"{entry.runtime} is not hosted")
    files = _files(values)
    paths = {key: file.path for key, file in files.items()}
    args = tuple(fill(text, values, paths) for text in runtime.args)
    egress = _egress(report, config, runtime)
    image, bridge, command, args = _program(report, config, stack, values, paths, args, egress)
    check_exposure(report, config, values, bridged=bridge is not None, arguments=(*command, *args))
    if image is None:
        return None
    env, secret_env, user_env = _environment(values, paths)
    if config.user is not None and isinstance(where, Place):
        where = _as_user(where, config.user)
    containerized = runtime if isinstance(runtime, ContainerizedConfig) else None
    return Hosted(
        image=image,
        bridge=bridge,
        command=command,
        args=args,
        env=env,
        secret_env=secret_env,
        user_env=user_env,
        files=tuple(files.values()),
        port=containerized.port if containerized else RUNNER_PORT,
        path=containerized.path if containerized else RUNNER_PATH,
        health_path=containerized.healthz_path if containerized else "/healthz",
        startup_seconds=runtime.startup_seconds,
        amounts=_amounts(report, config, bridged=bridge is not None),
        where=where,
        isolation=config.isolation,
        egress=egress,
    )


def _files(values: Values) -> dict[str, File]:
    return {
        key: File(path=f"{FILES}/{key}", content=text)
        for key, (setting, text) in values.everyone.items()
        if setting.usage in _FILE
    }


def _environment(values: Values, paths: dict[str, str]) -> tuple[dict[str, str], dict[str, Text], dict[str, Text]]:
    """Return the variables that are known, those that hold the stack's secrets, and those that each user gives."""
    env = dict(paths)
    secret_env: dict[str, Text] = {}
    user_env: dict[str, Text] = {}
    for key, (setting, text) in values.everyone.items():
        if setting.usage is not Usage.ENV:
            continue
        if text.user_values:
            user_env[key] = text
        elif text.secrets:
            secret_env[key] = text
        else:
            env[key] = text.plain
    return dict(sorted(env.items())), dict(sorted(secret_env.items())), dict(sorted(user_env.items()))


def _program(
    report: Report,
    config: ServerConfig,
    stack: StackConfig,
    values: Values,
    paths: dict[str, str],
    args: tuple[Text, ...],
    egress: str,
) -> tuple[Image | None, Bridge | None, tuple[Text, ...], tuple[Text, ...]]:
    """Return the image, how it is bridged, the command, and the arguments that are not part of it."""
    bridge = Bridge(
        session=config.session,
        session_idle_seconds=config.session_idle_seconds,
        max_sessions=config.max_sessions,
    )
    runtime = report.entry.runtime_config
    if isinstance(runtime, ContainerizedConfig):
        return _container(report, stack, values, paths, runtime, args)
    if isinstance(runtime, NpxConfig):
        image, command, start = _npx(report, runtime.package)
    elif isinstance(runtime, UvxConfig):
        image, command, start = _uvx(report, config, runtime.package, fill(runtime.command, values, paths))
    else:
        raise TypeError(f"{report.entry.runtime} is not hosted")
    if config.install_at_start is not None:
        if egress == "none":
            report.in_stack(
                "installAtStart",
                "a server that installs its package at start has to reach a registry, and its egress is none",
                "remove it, or add egress: {unrestricted: true, reason: ...}",
            )
        report.deviations.append(Deviation(name="installAtStart", reason=config.install_at_start.reason))
        return StartImage(), bridge, (*start, *args), ()
    return image, bridge, (*command, *args), ()


_Package = tuple[Image | None, tuple[Text, ...], tuple[Text, ...]]
"""An image with the package inside, the command in it, and the command that installs the package at start."""


def _npx(report: Report, package: str) -> _Package:
    if (wrong := npm_wrong(package)) is not None:
        report.in_catalog("npxConfig.package", wrong, "name one with its version", shown(package))
        return None, (), ()
    if not npm_pinned(package):
        report.warnings.append(f"package {package} has no exact version: a rebuilt image may hold another one")
    return NpxImage(package=package), (Text("/app/bin/server"),), (Text("npx"), Text("-y"), Text(package))


def _uvx(report: Report, config: ServerConfig, package: str, command: Text) -> _Package:
    found = requirement(package)
    if found is None:
        report.in_catalog(
            "uvxConfig.package",
            "is not a package of a Python index such as name==1.2.3",
            "name one with its version",
            shown(package),
        )
        return None, (), ()
    wanted, name = found
    if not python_pinned(wanted):
        report.warnings.append(f"package {package} has no exact version: a rebuilt image may hold another one")
    if not command.is_plain:
        _refuse_open(report, "uvxConfig.command", command, "the command")
        return None, (), ()
    program = command.plain or name
    if "/" in program or program.startswith("-"):
        report.in_catalog("uvxConfig.command", "is not a command's name", "name one of the package's", shown(program))
        return None, (), ()
    image = UvxImage(requirement=wanted, command=program, constraints=config.constraints)
    limits = tuple(Text(word) for each in config.constraints for word in ("--with", each))
    start = (Text("uvx"), *limits, Text("--from"), Text(wanted), Text(program))
    return image, (Text(f"/app/bin/{program}"),), start


def _container(
    report: Report,
    stack: StackConfig,
    values: Values,
    paths: dict[str, str],
    runtime: ContainerizedConfig,
    args: tuple[Text, ...],
) -> tuple[Image | None, None, tuple[Text, ...], tuple[Text, ...]]:
    reference = fill(runtime.image, values, paths)
    command = fill(runtime.command, values, paths)
    entrypoint = (command,) if command.pieces else ()
    if not reference.is_plain:
        _refuse_open(report, "containerizedConfig.image", reference, "the image")
        return None, None, entrypoint, args
    name = reference.plain
    local = next((image for image in stack.images.local if image.image == name), None)
    if local is not None:
        return LocalFolderImage(reference=name, context=local.context), None, entrypoint, args
    if not image_pinned(name):
        report.warnings.append(f"image {name} floats: the tag may come to mean another image")
    return PulledImage(reference=name), None, entrypoint, args


def _refuse_open(report: Report, path: str, text: Text, what: str) -> None:
    """What an image is made of is decided once, for everybody, and is no secret."""
    if text.secrets:
        report.in_catalog(path, "would hold a secret", f"name {what} itself")
    for value in text.user_values:
        report.in_catalog(
            path,
            f"would depend on {value.key}, which each user gives",
            f"name {what} itself, or set servers.{report.entry.id}.values.{value.key} for everybody",
        )


def _as_user(place: Place, user: str) -> Place:
    uid, _, gid = user.partition(":")
    return Place(
        subnet=place.subnet,
        address=place.address,
        edge_address=place.edge_address,
        gateway_address=place.gateway_address,
        uid=int(uid),
        gid=int(gid or uid),
    )


def _egress(report: Report, config: ServerConfig, runtime: HostedConfig) -> Literal["none", "unrestricted"]:
    wanted = ", ".join(runtime.egress_domains)
    if isinstance(config.egress, UnrestrictedEgress):
        report.deviations.append(Deviation(name="unrestricted egress", reason=config.egress.reason))
        report.warnings.append("may reach the whole internet, the Docker host and the networks that the host reaches")
        return "unrestricted"
    if config.egress is None and (wanted or runtime.deny_all_egress is False):
        report.in_catalog(
            f"{report.entry.runtime}Config." + ("egressDomains" if wanted else "denyAllEgress"),
            "asks for egress, and on Docker a server has none: domains can't be enforced here yet",
            f"set servers.{report.entry.id}.egress to {{unrestricted: true, reason: ...}}, or to none",
            wanted or "false",
        )
    elif wanted or runtime.deny_all_egress is False:
        report.warnings.append(f"asks for egress ({wanted or 'anywhere'}) and gets none")
    return "none"


def _amounts(report: Report, config: ServerConfig, *, bridged: bool) -> Amounts:
    """The stack's amounts stand above the entry's, those above the defaults, field by field."""
    entry = report.entry.resources
    asked = config.resources
    memory = _number(report, "limits.memory", asked.limits.memory if asked else None, entry.limits.memory_bytes)
    cpu = _number(report, "limits.cpu", asked.limits.cpu if asked else None, entry.limits.cpu_milli)
    reserved_memory = _number(
        report, "requests.memory", asked.requests.memory if asked else None, entry.requests.memory_bytes
    )
    reserved_cpu = _number(report, "requests.cpu", asked.requests.cpu if asked else None, entry.requests.cpu_milli)
    default_mib = hardening.BRIDGED_MEMORY_MIB if bridged else hardening.CONTAINER_MEMORY_MIB
    limit_mib = _mib(memory) if memory is not None else max(default_mib, _mib(reserved_memory or 0))
    limit_cpu = cpu if cpu is not None else max(round(hardening.CPUS * 1000), reserved_cpu or 0)
    if limit_mib < hardening.SMALLEST_MEMORY_MIB:
        report.in_stack(
            "resources.limits.memory",
            f"leaves {limit_mib} MiB",
            f"give at least {hardening.SMALLEST_MEMORY_MIB}Mi",
        )
    if limit_cpu < _SMALLEST_CPU_MILLI:
        report.in_stack("resources.limits.cpu", f"leaves {limit_cpu}m", f"give at least {_SMALLEST_CPU_MILLI}m")
    if reserved_memory is not None and _mib(reserved_memory) > limit_mib:
        report.in_stack("resources.requests.memory", "is more than the limit", "raise the limit, or lower the request")
    if reserved_cpu is not None and reserved_cpu > limit_cpu:
        report.in_stack("resources.requests.cpu", "is more than the limit", "raise the limit, or lower the request")
    return Amounts(
        memory_mib=limit_mib,
        cpus=limit_cpu / 1000,
        processes=hardening.BRIDGED_PROCESSES if bridged else hardening.CONTAINER_PROCESSES,
        reserved_memory_mib=_mib(reserved_memory) if reserved_memory else None,
        reserved_cpus=reserved_cpu / 1000 if reserved_cpu else None,
    )


def _number(report: Report, field: str, asked: str | int | float | None, entry: int | None) -> int | None:
    if asked is None:
        return entry
    try:
        return memory_bytes(asked) if field.endswith("memory") else cpu_milli(asked)
    except ValueError as error:
        report.in_stack(f"resources.{field}", f"is {error}", "write e.g. 500m or 256Mi", shown(asked))
        return entry


def _mib(amount: int) -> int:
    return math.ceil(amount / _MIB)
