"""`python -m mcp_launcher --stack <stack>` works; `health` exits with 0 while it does; `deliver` hands it templates."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mcp_launcher import health, template_file
from mcp_launcher.board import Board
from mcp_launcher.engine import Engine, EngineError
from mcp_launcher.instance_engine import InstanceEngine
from mcp_launcher.instances import Instances
from mcp_launcher.interface import CONTROL_UID, SOCKET, Interface
from mcp_launcher.joins import Joins
from mcp_launcher.log import write
from mcp_launcher.placement import Placement
from mcp_launcher.reading import Reading
from mcp_launcher.starting import Starter
from mcp_launcher.template_file import IN_FORCE, TemplateFile
from mcp_launcher.transport import Transport
from mcp_launcher.upkeep import Upkeep
from mcp_launcher.watch import Wake, back_off, follow, run

STACK_BYTES = 512 * 1024
"""A thread's stack: there can be a hundred threads."""


def main(arguments: list[str]) -> int:
    """Read the command line and work until a signal comes."""
    if arguments == ["health"]:
        return 0 if health.healthy(time.monotonic()) else 1
    if arguments[:1] == ["deliver"]:
        return template_file.deliver(*map(Path, arguments[1:3]))
    parser = argparse.ArgumentParser(
        prog="mcp_launcher", description="Start users' instances, and join a stack's edge."
    )
    parser.add_argument("--stack", required=True, help="the stack whose labels are watched")
    parser.add_argument("--socket", default="/var/run/docker.sock", help="the engine's Unix socket")
    parser.add_argument("--socket-path", type=Path, default=SOCKET, help="where to listen for the control side")
    parser.add_argument("--templates-path", type=Path, default=IN_FORCE, help="the delivered templates")
    options = parser.parse_args(arguments)

    # The first process of a container has no default action for signals: without a handler it would wait to be killed.
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    threading.stack_size(STACK_BYTES)
    write("info", "watching", stack=options.stack)
    transport, wake, joins = Transport(options.socket, options.stack), Wake(), Joins()
    engine, instance_engine, placement = Engine(transport), InstanceEngine(transport), Placement()
    starter = Starter(instance_engine, placement, joins)
    board = Board(instance_engine, placement, wake.set)
    instances = Instances(board, instance_engine, starter)
    upkeep = Upkeep(transport, board, instance_engine, placement, starter, instances, wake.set)
    templates = TemplateFile(options.templates_path, options.stack)
    # Read before the first look, so that what runs is never listed as if it didn't.
    if (found := templates.news()) is not None:
        upkeep.follow_templates(found)
    _always("templates", templates.follow, upkeep.follow_templates)
    _always("events", follow, Engine(transport), wake)
    _always("loop", run, engine, wake, upkeep, joins)
    _always("interface", listen, options.socket_path, instances, Reading(options.stack, instance_engine, instances))
    leaving.wait()
    _leave(Engine(transport), upkeep)
    # Whatever is still under way stands alone, and the next launcher takes it up.
    os._exit(0)


def listen(path: Path, instances: Instances, reading: Reading) -> None:
    """Serve the control side, for ever; a socket that can't be made is tried again, as joining the edge needs none."""
    failures = 0
    while True:
        try:
            with Interface(path, instances, reading, peers=frozenset({CONTROL_UID, os.geteuid()})) as interface:
                failures = 0
                interface.serve_forever()
        except OSError as error:
            failures += 1
            write("error", "can't listen for the control side", path=str(path), reason=str(error))
            time.sleep(back_off(failures))


def _leave(engine: Engine, upkeep: Upkeep) -> None:
    """When the stack's templates were taken away, the stack goes: then its instances go too."""
    try:
        if not engine.observe(anew=False).delivered:
            upkeep.leave()
    except EngineError as error:
        write("error", "couldn't look before leaving", reason=str(error))


def _always(name: str, work: Callable[..., None], *arguments: object) -> None:
    def thread() -> None:
        try:
            work(*arguments)
        finally:
            # Nothing works without any one of them: the engine starts the launcher anew.
            write("error", "a thread has ended", thread=name)
            os._exit(1)

    threading.Thread(target=thread, name=name, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
