"""The block that goes with an entry's runtime: its rules, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypedDict

from components.catalog import hosts, quantity, references
from components.catalog.composite import composite_config
from components.catalog.document import (
    AmountDocument,
    CompositeDocument,
    ContainerizedDocument,
    EntryDocument,
    HostedDocument,
    NpxDocument,
    RemoteDocument,
    ResourcesDocument,
    UvxDocument,
)
from components.catalog.entry import (
    Amount,
    ContainerizedConfig,
    NpxConfig,
    RemoteConfig,
    Resources,
    RuntimeConfig,
    UvxConfig,
)
from components.catalog.packages import npm_package, python_package
from components.catalog.parse import Path
from components.catalog.report import Report

BLOCKS: Mapping[str, str] = {
    "npx": "npxConfig",
    "uvx": "uvxConfig",
    "containerized": "containerizedConfig",
    "remote": "remoteConfig",
    "composite": "compositeConfig",
}
DEFAULT_STARTUP_SECONDS = 60

_URL_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")


class _Hosted(TypedDict):
    """The fields of `HostedConfig`."""

    args: tuple[str, ...]
    egress_domains: tuple[str, ...]
    deny_all_egress: bool | None
    startup_seconds: int


def runtime_config(document: EntryDocument, report: Report) -> RuntimeConfig | None:
    """Return the block of the entry's runtime, None when it is not there; blocks of other runtimes are refused."""
    blocks = {
        "npx": document.npx_config,
        "uvx": document.uvx_config,
        "containerized": document.containerized_config,
        "remote": document.remote_config,
        "composite": document.composite_config,
    }
    for runtime, block in blocks.items():
        if block is not None and runtime != document.runtime:
            report.add((BLOCKS[runtime],), f"is not read with runtime {document.runtime}", "remove it, or mend runtime")
    match blocks[document.runtime]:
        case NpxDocument() as npx:
            return _npx(npx, report)
        case UvxDocument() as uvx:
            return _uvx(uvx, report)
        case ContainerizedDocument() as container:
            return _containerized(container, report)
        case RemoteDocument() as remote:
            return _remote(remote, report)
        case CompositeDocument() as composite:
            return composite_config(composite, report)
    report.add((BLOCKS[document.runtime],), f"is missing: the runtime is {document.runtime}", "add it")
    return None


def _npx(config: NpxDocument, report: Report) -> NpxConfig:
    if npm_package(config.package) is None:
        report.add(
            ("npxConfig", "package"), "is not a package of the npm registry", "write name@version", config.package
        )
    return NpxConfig(package=config.package, **_hosted(config, "npxConfig", report))


def _uvx(config: UvxDocument, report: Report) -> UvxConfig:
    if python_package(config.package) is None:
        report.add(
            ("uvxConfig", "package"), "is not a package of the Python index", "write name==version", config.package
        )
    if config.command.startswith("-") or re.search(r"[\s\x00/]", config.command):
        report.add(
            ("uvxConfig", "command"), "is not the name of one program", "put arguments into args", config.command
        )
    return UvxConfig(package=config.package, command=config.command, **_hosted(config, "uvxConfig", report))


def _containerized(config: ContainerizedDocument, report: Report) -> ContainerizedConfig:
    block = "containerizedConfig"
    without = references.filled(config.image, lambda _: "x")
    if not _IMAGE.fullmatch(without):
        report.add((block, "image"), "is not an image's reference", "write registry/name:tag@sha256:...", config.image)
    for name, path, required in (("path", config.path, True), ("healthzPath", config.healthz_path, False)):
        if not path.strip():
            if required:
                report.add((block, name), "is blank", "write the MCP endpoint's path, such as /mcp")
        elif not _URL_PATH.fullmatch(path if path.startswith("/") else f"/{path}"):
            report.add((block, name), "is not the path of an URL", "write it as /mcp", path)
    if "\x00" in config.command:
        report.add((block, "command"), "holds a NUL character", "remove it")
    return ContainerizedConfig(
        image=config.image,
        port=config.port,
        path=_rooted(config.path),
        command=config.command,
        healthz_path=_rooted(config.healthz_path) if config.healthz_path.strip() else "",
        **_hosted(config, block, report),
    )


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _hosted(config: HostedDocument, block: str, report: Report) -> _Hosted:
    for index, argument in enumerate(config.args):
        if not argument.strip() or "\x00" in argument:
            report.add((block, "args", index), "is blank or holds a NUL character", "write an argument, or remove it")
    for index, domain in enumerate(config.egress_domains):
        if wrong := hosts.domain_wrong(domain):
            report.add(
                (block, "egressDomains", index), wrong, "write a host such as api.example.com or *.example.com", domain
            )
    if config.deny_all_egress and config.egress_domains:
        report.add((block, "denyAllEgress"), "denies what egressDomains allows", "remove one of the two")
    return _Hosted(
        args=config.args,
        egress_domains=tuple(dict.fromkeys(domain.lower() for domain in config.egress_domains)),
        deny_all_egress=config.deny_all_egress,
        startup_seconds=config.startup_timeout_seconds or DEFAULT_STARTUP_SECONDS,
    )


def _remote(config: RemoteDocument, report: Report) -> RemoteConfig:
    block = "remoteConfig"
    given = {"fixedURL": config.fixed_url, "hostname": config.hostname, "urlTemplate": config.url_template}
    if len([text for text in given.values() if text]) != 1:
        found = ", ".join(name for name, text in given.items() if text) or "none"
        report.add((block,), f"needs exactly one of fixedURL, hostname and urlTemplate; has {found}", "keep one")
    for name in ("fixedURL", "urlTemplate"):
        text = given[name]
        if not text:
            continue
        if references.names(text):
            sample = _sample(text)
            if hosts.split(sample) is None:
                report.add((block, name), "is not an URL, whatever its variables hold", "write https://host/path")
        elif name == "urlTemplate":
            report.add((block, name), "holds no ${KEY}", "write it as fixedURL")
        if not references.names(text) and (wrong := hosts.url_wrong(text)):
            report.add((block, name), wrong, "write https://host/path")
    if config.hostname and (wrong := hosts.host_wrong(config.hostname)):
        report.add((block, "hostname"), wrong, "write a host such as mcp.example.com or *.example.com", config.hostname)
    return RemoteConfig(
        fixed_url=config.fixed_url,
        hostname=config.hostname,
        url_template=config.url_template,
        static_oauth_required=config.static_o_auth_required,
    )


def _sample(text: str) -> str:
    """Fill a template with words that suit their place: the front may be scheme and host."""
    front = re.match(r"\$\{[^}]+\}", text)
    rest = text[front.end() :] if front else text
    return ("https://example.com" if front else "") + references.filled(rest, lambda _: "x")


def resources(document: ResourcesDocument | None, report: Report, path: Path = ("resources",)) -> Resources:
    """Return the amounts; a limit is at least its request."""
    if document is None:
        return Resources()
    requests = _amount(document.requests, report, (*path, "requests"))
    limits = _amount(document.limits, report, (*path, "limits"))
    for name, low, high in (
        ("cpu", requests.cpu_milli, limits.cpu_milli),
        ("memory", requests.memory_bytes, limits.memory_bytes),
    ):
        if low is not None and high is not None and low > high:
            report.add((*path, "limits", name), "is less than the request", "raise the limit, or lower the request")
    return Resources(requests=requests, limits=limits)


def _amount(document: AmountDocument, report: Report, path: Path) -> Amount:
    found: dict[str, int] = {}
    for name, text, read in (
        ("cpu", document.cpu, quantity.cpu_milli),
        ("memory", document.memory, quantity.memory_bytes),
    ):
        if text is None:
            continue
        try:
            found[name] = read(text)
        except ValueError as error:
            report.add((*path, name), f"is {error}", "write it as 500m (cpu) or 256Mi (memory)", text)
    return Amount(cpu_milli=found.get("cpu"), memory_bytes=found.get("memory"))
