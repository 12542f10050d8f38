"""config + catalog -> `HostingPlan`: every decision, and every refusal at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from components.catalog.entry import Entry, RemoteConfig, Runtime, ServerType
from components.config.read import Stack
from components.config.stack import ServerConfig, SomeUsers, StackConfig
from components.errors import Problem, Problems, collected, raise_if
from components.names import SERVER_ID_LENGTH
from components.plan.addresses import instances, places
from components.plan.display import line
from components.plan.gateway import gateway
from components.plan.hosted import hosted
from components.plan.model import AccessRule, HostingPlan, Instances, Place, Server
from components.plan.remote import upstream
from components.plan.report import Report
from components.plan.single_user import check_kind, instance, with_shared_headers
from components.plan.text import Text
from components.plan.values import Known, resolve

ROUTE = "/mcp-connect"
DESCRIPTION_LENGTH = 300
OUR_ENDINGS = ("-delivery", "-ready", "-gateway-templates")
"""What containers beside a server's own, and the templates', are called: a server of such a name could pass for one."""
_INSTANCE = re.compile(r"-u-[0-9a-f]{12}(-data)?$")
"""How a user's instance of a server, and its volume, are called (docs/contracts.md, section 7)."""
_HOSTED = frozenset({Runtime.NPX, Runtime.UVX, Runtime.CONTAINERIZED})
_BRIDGED = frozenset({Runtime.NPX, Runtime.UVX})
_APPLIES = {
    "url": frozenset({Runtime.REMOTE}),
    "allow_private_upstream": frozenset({Runtime.REMOTE}),
    "egress": _HOSTED,
    "resources": _HOSTED,
    "isolation": _HOSTED,
    "secrets_in_arguments": _HOSTED,
    "session": _BRIDGED,
    "session_idle_seconds": _BRIDGED,
    "max_sessions": _BRIDGED,
    "install_at_start": _BRIDGED,
    "constraints": frozenset({Runtime.UVX}),
    "user": frozenset({Runtime.CONTAINERIZED}),
    "secrets_in_environment": frozenset({Runtime.CONTAINERIZED}),
}


def plan_of(stack: Stack, name: str, *, passwords: Known) -> HostingPlan:
    """Return the plan of a stack that was read; raises `Problems`, each with its file and line where known.

    `passwords` as for `plan`.
    """
    try:
        return plan(stack.config, stack.entries, stack=name, secrets=stack.secrets, passwords=passwords)
    except Problems as problems:
        raise stack.located(problems) from None


def plan(
    config: StackConfig,
    entries: Sequence[Entry],
    *,
    stack: str,
    secrets: Known = None,
    passwords: Known = None,
) -> HostingPlan:
    """Return the plan of a stack; raises `Problems` with everything that can't be had.

    `secrets` and `passwords` are the names and logins that the stack has values for; None: not known here.
    """
    problems: list[Problem] = []
    settings = _configs(config, entries, problems)
    shared = [entry.id for entry in entries if entry.server_type is ServerType.MULTI_USER]
    single = any(entry.server_type is ServerType.SINGLE_USER for entry in entries)
    found: dict[str, Place] = {}
    bounds: Instances | None = None
    with collected(problems):
        found = places(shared, stack=stack, subnets=config.network.subnets)
    with collected(problems):
        bounds = instances(config.instances, subnets=config.network.subnets, needed=single)
    servers = []
    for entry in sorted(entries, key=lambda each: each.id):
        report = Report(entry)
        servers.append(_server(report, settings.get(entry.id, ServerConfig()), config, secrets, found.get(entry.id)))
        problems.extend(report.problems)
    made = gateway(config, passwords, problems)
    raise_if(problems)
    if bounds is None:
        raise TypeError("the bounds of instances are a problem or are there")
    return HostingPlan(
        stack=stack,
        base_image=config.images.base,
        node_version=config.images.node,
        gateway=made,
        instances=bounds,
        servers=tuple(server for server in servers if server is not None),
        warnings=_warnings(config),
    )


def _configs(config: StackConfig, entries: Sequence[Entry], problems: list[Problem]) -> dict[str, ServerConfig]:
    by_key = {key: entry.id for entry in entries for key in entry.keys}
    found: dict[str, ServerConfig] = {}
    for key, settings in config.servers.items():
        identifier = by_key.get(key)
        if identifier is None:
            known = ", ".join(sorted(entry.id for entry in entries)) or "none"
            problems.append(
                Problem(
                    path=f"servers.{key}", wrong="is not a server of the catalog", remedy=f"name one of these: {known}"
                )
            )
        elif identifier in found:
            problems.append(
                Problem(path=f"servers.{key}", wrong="says something of a server twice", remedy="keep one block")
            )
        else:
            found[identifier] = settings
    return found


def _server(
    report: Report, settings: ServerConfig, config: StackConfig, secrets: Known, place: Place | None
) -> Server | None:
    entry = report.entry
    if not _possible(report):
        return None
    _check_applies(report, settings)
    check_kind(report, settings)
    logins = [user.login for user in config.users]
    values = resolve(report, settings, frozenset(logins), secrets)
    if entry.server_type is ServerType.SINGLE_USER:
        values = with_shared_headers(report, values, logins)
    common: dict[str, Any] = {
        "id": entry.id,
        "name": line(entry.name),
        "description": line(entry.short_description or entry.description, DESCRIPTION_LENGTH),
        "icon": entry.icon,
        "runtime": str(entry.runtime),
        "path": f"{ROUTE}/{entry.id}",
        "headers": values.headers,
        "given_by": values.given_by,
        "user_settings": values.user_settings,
        "user_values": values.user_values,
        "access": _access(report, settings, config),
        "tools": settings.tools.allowed,
    }
    if isinstance(entry.runtime_config, RemoteConfig):
        url, reach = upstream(report, settings, entry.runtime_config, values)
        return _finished(report, kind="remote", upstream=url, reach=reach, **common)
    if entry.server_type is ServerType.SINGLE_USER:
        run = hosted(report, settings, config, values, instance(report, settings, config))
        if run is None:
            return None
        return _finished(report, kind="singleUser", upstream=None, reach="private", hosted=run, **common)
    if place is None:
        return None
    run = hosted(report, settings, config, values, place)
    if run is None:
        return None
    url = Text(f"http://{place.address}:{run.port}{run.path}")
    return _finished(report, kind="multiUser", upstream=url, reach="private", hosted=run, **common)


def _finished(report: Report, **fields: Any) -> Server:
    return Server(deviations=tuple(report.deviations), warnings=tuple(report.warnings), **fields)


def _possible(report: Report) -> bool:
    entry = report.entry
    if len(entry.id) > SERVER_ID_LENGTH:
        report.in_catalog("entryKey", f"makes an id longer than {SERVER_ID_LENGTH} characters", "give a shorter one")
        return False
    if entry.id.endswith(OUR_ENDINGS):
        report.in_catalog(
            "entryKey", f"makes an id that ends in {' or '.join(OUR_ENDINGS)}", "give another one", entry.id
        )
        return False
    if _INSTANCE.search(entry.id):
        report.in_catalog(
            "entryKey", "makes an id that ends as the names of users' instances do", "give another one", entry.id
        )
        return False
    if entry.runtime is Runtime.COMPOSITE:
        report.in_catalog(
            "runtime",
            "composite servers are not run by this version",
            "include its components as servers of their own, or leave the entry out",
        )
        return False
    return True


def _check_applies(report: Report, settings: ServerConfig) -> None:
    for field, runtimes in _APPLIES.items():
        if field in settings.model_fields_set and report.entry.runtime not in runtimes:
            name = ServerConfig.model_fields[field].alias or field
            report.in_stack(
                name,
                f"has no meaning for a {report.entry.runtime} server",
                f"remove it; it is for {', '.join(sorted(runtimes))}",
            )


def _access(report: Report, settings: ServerConfig, config: StackConfig) -> AccessRule:
    wanted = config.access if settings.access is None else settings.access
    if not isinstance(wanted, SomeUsers):
        return AccessRule(everyone=True)
    logins = {user.login for user in config.users}
    groups = {group for user in config.users for group in user.groups}
    place = "" if settings.access is None else f"servers.{report.entry.id}."
    for kind, named, known in (("users", wanted.users, logins), ("groups", wanted.groups, groups)):
        for name in named:
            if name not in known:
                one = "user" if kind == "users" else "group"
                report.problems.append(
                    Problem(
                        path=f"{place}access.{kind}",
                        value=name,
                        wrong=f"is not a {one} of the stack" + ("" if one == "user" else "'s users"),
                        remedy="add it under users, or mend the name",
                    )
                )
    return AccessRule(everyone=False, users=wanted.users, groups=wanted.groups)


def _warnings(config: StackConfig) -> tuple[str, ...]:
    found = []
    if not config.users:
        found.append("the stack has no users: nobody can sign in")
    if config.listen.address not in ("127.0.0.1", "::1") and config.public_url.startswith("http:"):
        found.append(f"the gateway listens on {config.listen.address} in plain http: put TLS in front of it")
    return tuple(found)
