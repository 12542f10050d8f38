"""`plan`: what a stack comes to, without an engine: a table for people, the whole plan for machines."""

from __future__ import annotations

import argparse
import json
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from components.cli.running import ROOT
from components.config.load import stack_file
from components.plan.build import plan_of
from components.plan.model import (
    AccessRule,
    Hosted,
    HostingPlan,
    Instance,
    LocalFolderImage,
    NpxImage,
    PulledImage,
    Server,
    StartImage,
    UserSetting,
    UvxImage,
    to_json,
)

PRINTED_WIDTH = 176
"""Columns when the output is not a terminal."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("plan", help="what will run, decided without an engine")
    parser.add_argument("--stack", required=True, metavar="NAME", help="the stack in stacks/Pulumi.NAME.yaml")
    parser.add_argument("--json", action="store_true", help="print the whole plan for machines")


def run(args: argparse.Namespace) -> int:
    """Print the plan. Passwords that don't exist yet are no problem here: `make up` makes them."""
    stack = stack_file(ROOT / "stacks" / f"Pulumi.{args.stack}.yaml", ROOT)
    found = plan_of(stack, args.stack, passwords=None)
    if args.json:
        sys.stdout.write(json.dumps(to_json(found), indent=2, ensure_ascii=False) + "\n")
        return 0
    console = Console(highlight=False)
    _print(found, console if console.is_terminal else Console(highlight=False, width=PRINTED_WIDTH))
    return 0


def _print(plan: HostingPlan, console: Console) -> None:
    gateway = plan.gateway
    console.print(
        f"{plan.stack}: gateway {gateway.public_url}, listens on {gateway.listen_address}:{gateway.listen_port}"
    )
    users = ", ".join(f"{user.login}{' (admin)' if user.admin else ''}" for user in gateway.users)
    console.print(f"users: {users or 'none'}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("Server", "Type", "Kind", "Runs", "Address", "User", "Limits", "Egress", "Access", "Tools"):
        table.add_column(column, overflow="fold")
    for server in plan.servers:
        table.add_row(*_row(server))
    console.print(table)
    _print_instances(plan, console)
    for server in plan.servers:
        for deviation in server.deviations:
            console.print(f"! {server.id}: {deviation.name}: {deviation.reason}", markup=False)
    for text in plan.warnings:
        console.print(f"* {text}", markup=False)
    for server in plan.servers:
        for text in server.warnings:
            console.print(f"* {server.id}: {text}", markup=False)


def _print_instances(plan: HostingPlan, console: Console) -> None:
    """What a reviewer asks of servers that users give values to, or have instances of."""
    bounds = plan.instances
    if any(server.kind == "singleUser" for server in plan.servers):
        console.print(
            f"instances: at most {bounds.total} at once, {bounds.per_user} of one user; {bounds.starts_at_once} start"
            f" together; in {bounds.range}, uids {bounds.first_uid} to {bounds.first_uid + bounds.uids - 1}"
        )
    for server in plan.servers:
        run = server.hosted
        facts = []
        if run is not None and isinstance(run.where, Instance):
            facts += [f"stopped after {run.where.idle_seconds} s without use"]
            facts += [f"each user's volume at {run.where.volume}" if run.where.volume else "no volume"]
        facts += _givers(server)
        if facts and (server.kind == "singleUser" or server.user_settings):
            console.print(f"  {server.id}: {'; '.join(facts)}", markup=False, soft_wrap=True)


def _givers(server: Server) -> list[str]:
    """Who gives which value: `alice` and others whose value the stack declares are named."""
    found = []
    for giver, words in (("catalog", "the catalog fixes"), ("stack", "the stack gives")):
        keys = [key for key, by in server.given_by.items() if by == giver]
        found += [f"{words} {', '.join(keys)}"] if keys else []
    own = [setting for setting in server.user_settings if server.given_by.get(setting.key) == "user"]
    if own:
        found.append(f"each user gives {', '.join(_asked(server, setting) for setting in own)}")
    return found


def _asked(server: Server, setting: UserSetting) -> str:
    declared = sorted(login for login, values in server.user_values.items() if setting.key in values)
    marks = [
        setting.usage,
        *(["required"] if setting.required else []),
        *(["sensitive"] if setting.sensitive else []),
        *([f"declared for {', '.join(declared)}"] if declared else []),
    ]
    return f"{setting.key} ({', '.join(marks)})"


def _row(server: Server) -> tuple[str, ...]:
    access, tools = _access(server.access), "all" if server.tools is None else ", ".join(server.tools) or "none"
    run = server.hosted
    if run is None:
        reach = {"public": "public hosts only", "allowed": "allowed by the stack", "private": "private"}[server.reach]
        return server.id, "remote", "remote", str(server.upstream), "", "", "", reach, access, tools
    limits = f"{run.amounts.memory_mib} MiB, {run.amounts.cpus:g} CPU"
    isolation = "" if run.isolation == "none" else f" {run.isolation}"
    if isinstance(run.where, Instance):
        kind, address = "singleUser", f"own:{run.port}"
        user = "own" if run.where.user is None else str(run.where.user.uid)
    else:
        kind, address, user = "multiUser", f"{run.where.address}:{run.port}", str(run.where.uid)
    return (
        server.id,
        f"{server.runtime}{isolation}",
        kind,
        _program(run),
        address,
        user,
        limits,
        run.egress,
        access,
        tools,
    )


def _program(run: Hosted) -> str:
    match run.image:
        case NpxImage(package=package):
            return package
        case UvxImage(requirement=requirement):
            return requirement
        case StartImage():
            return " ".join(str(word) for word in run.command)
        case LocalFolderImage(reference=reference, context=context):
            return f"{reference} (built from {context})"
        case PulledImage(reference=reference):
            return reference


def _access(rule: AccessRule) -> str:
    if rule.everyone:
        return "everyone"
    return ", ".join((*rule.users, *(f"group {group}" for group in rule.groups))) or "nobody"
