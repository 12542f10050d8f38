"""Whether a stack and its catalog agree: every rule that needs both."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Collection, Iterable, Sequence

from components.catalog import hosts
from components.catalog.entry import Entry, Policy, RemoteConfig, Runtime, Setting, Usage
from components.catalog.report import Report
from components.catalog.runtimes import resources
from components.config.servers import server_config, server_resources, upstream_url
from components.config.stack import Access, Secret, ServerConfig, SomeUsers, StackConfig, is_loopback

ADDRESSES_PER_SERVER = 8
"""docs/contracts.md, section 7: a /29 for each server."""

_PACKAGES = frozenset({Runtime.NPX, Runtime.UVX})
_HOSTED = frozenset({Runtime.NPX, Runtime.UVX, Runtime.CONTAINERIZED})
FIELDS_FOR: dict[str, frozenset[Runtime]] = {
    "url": frozenset({Runtime.REMOTE}),
    "allow_private_upstream": frozenset({Runtime.REMOTE}),
    "constraints": frozenset({Runtime.UVX}),
    "session": _PACKAGES,
    "session_idle_seconds": _PACKAGES,
    "max_sessions": _PACKAGES,
    "install_at_start": _PACKAGES,
    "user": frozenset({Runtime.CONTAINERIZED}),
    "secrets_in_environment": frozenset({Runtime.CONTAINERIZED}),
    "secrets_in_arguments": _HOSTED,
    "egress": _HOSTED,
    "resources": _HOSTED,
    "isolation": _HOSTED,
}
"""Fields of `servers.<id>` that some runtimes only have."""


def check(config: StackConfig, entries: Sequence[Entry], secrets: Collection[str] | None, report: Report) -> None:
    """Add every disagreement to the report. `secrets` are the names that have a value; None: not known."""
    _listen(config, report)
    _users(config, report)
    _access(config.access, ("access",), config, report)
    by_key = {key: entry for entry in entries for key in entry.keys}
    seen: dict[str, str] = {}
    for key, server in config.servers.items():
        entry = by_key.get(key)
        if entry is None:
            _unknown(("servers", key), key, by_key, "server of this stack", report)
            continue
        if entry.id in seen:
            report.add(("servers", key), f"speaks of the same server as {seen[entry.id]}", "put the two together")
        seen[entry.id] = key
        _server(key, server, entry, config, secrets, report)
    for entry in entries:
        server = server_config(config, entry)
        key = seen.get(entry.id, entry.id)
        _required(key, server, entry, report)
        _upstream(key, server, entry, report)
    _images(config, report)
    available = ipaddress.IPv4Network(config.network.subnets).num_addresses // ADDRESSES_PER_SERVER
    if len(entries) > available:
        report.add(("network", "subnets"), f"is too small for {len(entries)} servers", "give a larger range")


def _listen(config: StackConfig, report: Report) -> None:
    if config.public_url.startswith("http:") and not is_loopback(config.listen.address):
        report.add(
            ("listen", "address"),
            "would carry sign-in and tokens over the network by plain http",
            "give an https publicUrl and a front that ends TLS, or listen on 127.0.0.1",
            config.listen.address,
        )


def _users(config: StackConfig, report: Report) -> None:
    seen: set[str] = set()
    for index, user in enumerate(config.users):
        if user.login in seen:
            report.add(("users", index, "login"), "stands there twice", "give each user a login", user.login)
        seen.add(user.login)


def _access(access: Access, path: tuple[str, ...], config: StackConfig, report: Report) -> None:
    if not isinstance(access, SomeUsers):
        return
    logins = {user.login for user in config.users}
    groups = {group for user in config.users for group in user.groups}
    for login in access.users:
        if login not in logins:
            _unknown((*path, "users"), login, logins, "user of this stack", report)
    for group in access.groups:
        if group not in groups:
            _unknown((*path, "groups"), group, groups, "group of any user", report)


def _unknown(path: tuple[str, ...], name: str, known: Iterable[str], what: str, report: Report) -> None:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    remedy = (
        f"did you mean {close[0]}?" if close else f"write one of: {', '.join(names[:12])}" if names else "remove it"
    )
    report.add(path, f"there is no {what} called {name}", remedy)


def _server(
    key: str, server: ServerConfig, entry: Entry, config: StackConfig, secrets: Collection[str] | None, report: Report
) -> None:
    path = ("servers", key)
    for field, runtimes in FIELDS_FOR.items():
        if field in server.model_fields_set and entry.runtime not in runtimes:
            name = type(server).model_fields[field].alias or field
            names = " and ".join(sorted(runtimes))
            report.add((*path, name), f"is for {names} servers; {entry.name} is {entry.runtime}", "remove it")
    if server.access is not None:
        _access(server.access, (*path, "access"), config, report)
    _amounts(server, entry, path, report)
    for name, value in server.values.items():
        _value(name, value, entry, (*path, "values", name), secrets, report)
    given = {setting.key for name in server.values if (setting := entry.setting(name))}
    logins = {user.login for user in config.users}
    for login, values in server.user_values.items():
        if login not in logins:
            _unknown((*path, "userValues"), login, logins, "user of this stack", report)
        for name, value in values.items():
            where = (*path, "userValues", login, name)
            setting = _value(name, value, entry, where, secrets, report)
            if setting is not None and setting.policy is Policy.OPERATOR:
                report.add(where, "has one value for everybody on this server", f"move it to servers.{key}.values")
            elif setting is not None and setting.key in given:
                report.add(where, "has a value for everybody already", f"remove it here or in servers.{key}.values")


def _value(
    name: str, value: str | Secret, entry: Entry, path: tuple[str, ...], secrets: Collection[str] | None, report: Report
) -> Setting | None:
    setting = entry.setting(name)
    if setting is None:
        _unknown(path, name, [each.key for each in entry.settings], f"setting of {entry.name}", report)
        return None
    if setting.policy is Policy.FIXED:
        report.add(path, "is the catalog's own value", "remove it, or change the entry")
    if isinstance(value, Secret):
        if secrets is not None and value.secret not in secrets:
            command = f"pulumi config set --secret --path 'mcp-hosting:secrets[\"{value.secret}\"]'"
            report.add(path, f"the secret {value.secret} has no value", f"run: {command}")
        return setting
    if setting.sensitive:
        report.add(
            path,
            "is sensitive and stands in clear in the stack",
            "put it under mcp-hosting:secrets and write {secret: NAME}",
        )
    if setting.options and value not in {option.value for option in setting.options}:
        allowed = ", ".join(option.value for option in setting.options)
        report.add(path, "is not one of the entry's options", f"write one of: {allowed}")
    if "\x00" in value or (setting.usage is Usage.HEADER and any(ord(c) < 32 and c != "\t" for c in value)):
        report.add(path, "holds a control character", "write it on one line")
    return setting


def _required(key: str, server: ServerConfig, entry: Entry, report: Report) -> None:
    given = {setting.key for name, value in server.values.items() if value != "" and (setting := entry.setting(name))}
    for setting in entry.settings:
        if setting.key in given:
            continue
        if setting.secret_binding is not None:
            report.add(
                ("servers", key, "values"),
                f"{entry.name} takes {setting.key} from a Kubernetes Secret (secretBinding), and Docker has none",
                f"write servers.{key}.values.{setting.key}: {{secret: NAME}}",
            )
        elif setting.policy is Policy.OPERATOR and setting.required:
            example = "{secret: NAME}" if setting.sensitive else "TEXT"
            report.add(
                ("servers", key, "values"),
                f"{entry.name} requires {setting.key}{f' ({setting.name})' if setting.name else ''}",
                f"write servers.{key}.values.{setting.key}: {example}",
            )


def _upstream(key: str, server: ServerConfig, entry: Entry, report: Report) -> None:
    if not isinstance(entry.runtime_config, RemoteConfig):
        return
    path = ("servers", key, "url")
    hostname = entry.runtime_config.hostname
    if hostname and not server.url:
        report.add(path, f"{entry.name} needs the URL of its server at {hostname}", f"write servers.{key}.url")
    if not hostname and server.url:
        report.add(path, f"{entry.name} has its URL in the catalog", "remove it, or change the entry")
    url = upstream_url(entry, server)
    if url is None:
        return
    if wrong := hosts.url_wrong(url):
        report.add(path if hostname else ("servers", key, "values"), f"the URL of {entry.name} {wrong}", "mend it")
        return
    parts = hosts.split(url)
    host = (parts.hostname or "") if parts else ""
    if hostname and not hosts.host_fits(host, hostname):
        report.add(path, f"the URL's host is not {hostname}, which the entry asks for", "give an URL of that host")
    if server.allow_private_upstream is not None:
        return
    remedy = f"write servers.{key}.allowPrivateUpstream: {{reason: ...}} if that is meant"
    if hosts.is_private(url):
        report.add(("servers", key), f"{entry.name} is at {host}, a host of this machine or a private network", remedy)
    elif parts is not None and parts.scheme == "http":
        report.add(("servers", key), f"{entry.name} is reached by plain http", f"use https, or {remedy}")


def _amounts(server: ServerConfig, entry: Entry, path: tuple[str, ...], report: Report) -> None:
    if server.resources is None:
        return
    before = len(report.problems)
    resources(server.resources, report, (*path, "resources"))
    if len(report.problems) > before:
        return
    both = server_resources(entry, server)
    for name, low, high in (
        ("cpu", both.requests.cpu_milli, both.limits.cpu_milli),
        ("memory", both.requests.memory_bytes, both.limits.memory_bytes),
    ):
        if low is not None and high is not None and low > high:
            report.add((*path, "resources"), f"with the entry's, the {name} limit is less than the request", "mend it")


def _images(config: StackConfig, report: Report) -> None:
    seen: set[str] = set()
    for index, local in enumerate(config.images.local):
        if local.image in seen:
            report.add(("images", "local", index, "image"), "stands there twice", "keep one", local.image)
        seen.add(local.image)
