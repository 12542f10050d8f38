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
    LocalFolderImage,
    NpxImage,
    PulledImage,
    Server,
    StartImage,
    UvxImage,
    to_json,
)

PRINTED_WIDTH = 160
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
    for column in ("Server", "Type", "Runs", "Address", "User", "Limits", "Egress", "Access", "Tools"):
        table.add_column(column, overflow="fold")
    for server in plan.servers:
        table.add_row(*_row(server))
    console.print(table)
    for server in plan.servers:
        for deviation in server.deviations:
            console.print(f"! {server.id}: {deviation.name}: {deviation.reason}", markup=False)
    for text in plan.warnings:
        console.print(f"* {text}", markup=False)
    for server in plan.servers:
        for text in server.warnings:
            console.print(f"* {server.id}: {text}", markup=False)


def _row(server: Server) -> tuple[str, ...]:
    access, tools = _access(server.access), "all" if server.tools is None else ", ".join(server.tools) or "none"
    run = server.hosted
    if run is None:
        reach = {"public": "public hosts only", "allowed": "allowed by the stack", "private": "private"}[server.reach]
        return server.id, "remote", str(server.upstream), "", "", "", reach, access, tools
    limits = f"{run.amounts.memory_mib} MiB, {run.amounts.cpus:g} CPU"
    isolation = "" if run.isolation == "none" else f" {run.isolation}"
    return (
        server.id,
        f"{server.runtime}{isolation}",
        _program(run),
        f"{run.place.address}:{run.port}",
        str(run.place.uid),
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
