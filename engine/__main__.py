"""The engine's command line, which the Makefile's targets call: `python3 -m engine COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from engine import checks, cluster, doctor, gvisor_runtime, key_rotation, locks, python_env, setup, stack
from engine.console import Console
from engine.errors import EngineError
from engine.layout import Layout, layout
from engine.process import attached

PULUMI_COMMANDS = ("preview", "refresh")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = argparse.ArgumentParser(prog="python3 -m engine", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, *, stack_option: bool = False) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        if stack_option:
            one.add_argument("--stack", default="quickstart")
        return one

    add("setup", "find, install or build what is missing").add_argument(
        "--tests", action="store_true", help="also what only the tests need"
    )
    add("doctor", "say what was found, what is missing and the remedy").add_argument("--json", action="store_true")
    environment = add("env", 'print the variables in which pulumi works, for a shell: eval "$(python3 -m engine env)"')
    environment.add_argument("--json", action="store_true")
    add("up", "set up and deploy a stack", stack_option=True)
    down = add("down", "destroy a stack and sweep up after it", stack_option=True)
    down.add_argument("--purge", action="store_true", help="also its data, its images and the stack itself")
    add("rotate-keys", "give a running stack new keys and move every secret to them", stack_option=True)
    for name in PULUMI_COMMANDS:
        add(name, f"run pulumi {name} on a stack", stack_option=True)
    built = add("cluster", "bring up a Kubernetes cluster on this machine, unless the user has one")
    built.add_argument("--own", action="store_true", help="build one although the user has another")
    add("cluster-down", "remove the cluster that was built here")
    add("gvisor", "give the Docker Engine the runtime runsc")
    cli = add("cli", "run a command of the project's own command line in .venv")
    cli.add_argument("arguments", nargs=argparse.REMAINDER)
    add("lint", "check format, rules and types")
    test = add("test", "set up, lint and run all tests")
    test.add_argument("arguments", nargs="*", help="for pytest")
    kubernetes = add("test-kubernetes", "bring up a cluster and run the tests that need one")
    kubernetes.add_argument("arguments", nargs="*", help="for pytest")
    add("locks", "re-make the lock files").add_argument("--upgrade", action="store_true", help="take newer versions")
    return whole


def show_environment(paths: Layout, *, as_json: bool) -> int:
    """Print the variables that `setup` has led to."""
    found = setup.found(paths)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
    sys.stdout.write((json.dumps(found, indent=2) if as_json else "\n".join(lines)) + "\n")
    return 0


def run_cli(paths: Layout, console: Console, arguments: list[str]) -> int:
    """Run the project's command line. Plans need no engine, so a missing one is no error here."""
    python_env.ensure(paths, console)
    try:
        added = setup.found(paths)
    except EngineError:
        added = {}
    command: list[str | Path] = [paths.python, "-m", "components.cli", *arguments]
    return attached(command, env={**os.environ, **added}, cwd=paths.root)


def run(options: argparse.Namespace, paths: Layout, console: Console) -> int:
    """Run one command and return its exit code."""
    match options.command:
        case "setup":
            ready = setup.ensure(paths, console)
            if options.tests:
                checks.ensure_tests(paths, console)
            console.line("ready", ready.summary(), "green")
        case "doctor":
            return doctor.show(doctor.examine(paths), console, as_json=options.json)
        case "env":
            return show_environment(paths, as_json=options.json)
        case "up":
            return stack.up(paths, console, options.stack)
        case "down":
            return stack.down(paths, console, options.stack, os.environ, purge=options.purge)
        case "rotate-keys":
            return key_rotation.rotate(paths, console, options.stack, os.environ)
        case "preview":
            return stack.command(paths, console, options.stack, "preview")
        case "refresh":
            return stack.command(paths, console, options.stack, "refresh", "--yes", "--skip-preview")
        case "cli":
            return run_cli(paths, console, options.arguments)
        case "lint":
            python_env.ensure(paths, console)
            return checks.lint(paths, os.environ)
        case "test":
            return checks.test(paths, console, options.arguments)
        case "test-kubernetes":
            return checks.test_kubernetes(paths, console, options.arguments)
        case "cluster":
            cluster.up(paths, console, os.environ, own=options.own)
        case "cluster-down":
            cluster.down(paths, console, os.environ)
        case "gvisor":
            gvisor_runtime.ensure(paths, console, os.environ)
        case "locks":
            python_env.ensure(paths, console)
            locks.ensure(paths, console, upgrade=options.upgrade)
    return 0


def end(number: int, frame: FrameType | None) -> None:
    """End in good order on SIGTERM: what runs is stopped, what is half made is removed."""
    raise SystemExit(128 + number)


def main() -> int:
    """Run the command of this process; errors are shown as one message with its remedy."""
    signal.signal(signal.SIGTERM, end)
    console = Console()
    paths = layout(Path(__file__).resolve().parents[1], os.environ)
    try:
        return run(parser().parse_args(), paths, console)
    except EngineError as problem:
        console.line("failed", str(problem), "red")
        if problem.remedy:
            console.line("", f"-> {problem.remedy}")
        return 1
    except KeyboardInterrupt:
        console.line("interrupted", "run it again to go on where it stopped", "yellow")
        return 130


if __name__ == "__main__":
    sys.exit(main())
