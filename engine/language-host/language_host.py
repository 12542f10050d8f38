"""A Python language host for Pulumi, used only where Pulumi's own can't be had.

It runs programs and policy packs on the Python SDK's gRPC classes. It leaves out what neither needs: it doesn't install
dependencies, generate code or report required plugins (`make setup` sees to those).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from types import FrameType

import grpc
import pulumi
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

SHOWN_ALREADY = 32  # the exec script's exit code for "the error message has been shown to the user"


def interpreter(info: language_pb2.ProgramInfo) -> str:
    """Path of the Python that runs the program: that of the `virtualenv` option in its project file, else this one."""
    options = dict(info.options)
    chosen = options.get("virtualenv")
    return str(Path(info.root_directory, str(chosen), "bin", "python")) if chosen else sys.executable


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The calls of Pulumi's LanguageRuntime service that running programs and policy packs takes."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def Handshake(self, request: language_pb2.LanguageHandshakeRequest, context: object) -> object:
        """Take the engine's address, which outlives the one on the command line."""
        self.engine = request.engine_address or self.engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: object, context: object) -> plugin_pb2.PluginInfo:
        """Report the version of the SDK that is in use."""
        return plugin_pb2.PluginInfo(version=getattr(pulumi, "__version__", "3.0.0"))

    def GetRequiredPackages(self, request: object, context: object) -> language_pb2.GetRequiredPackagesResponse:
        """Require none: set-up has placed the providers, and a stand-in has no release to download."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: object, context: object) -> language_pb2.GetRequiredPluginsResponse:
        """Require none, for engines that ask the older way."""
        return language_pb2.GetRequiredPluginsResponse()

    def InstallDependencies(
        self, request: object, context: object
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install none: the lock file is installed by `make setup`."""
        yield from ()

    def Run(self, request: language_pb2.RunRequest, context: object) -> language_pb2.RunResponse:
        """Run a program to its end; its output reaches the engine through this process's own."""
        script = shutil.which("pulumi-language-python-exec")
        if script is None:
            return language_pb2.RunResponse(error="pulumi-language-python-exec isn't on PATH; run `make setup`")
        flags = {
            "monitor": request.monitor_address,
            "engine": self.engine,
            "project": request.project,
            "stack": request.stack,
            "root_directory": request.info.root_directory,
            "pwd": request.pwd,
            "parallel": str(request.parallel),
            "organization": request.organization,
            "dry_run": "true" if request.dryRun else "false",
        }
        command = [interpreter(request.info), "-u", script]
        command += [part for flag, value in flags.items() if value for part in (f"--{flag}", value)]
        program = request.info.entry_point or request.program or "."
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        ended = subprocess.run(
            [*command, program, *request.args], cwd=request.info.program_directory or request.pwd, env=environment
        )
        if ended.returncode == SHOWN_ALREADY:
            return language_pb2.RunResponse(bail=True)
        if ended.returncode:
            return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {ended.returncode}")
        return language_pb2.RunResponse()

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a policy pack (kind "analyzer") or another plugin written in Python, and pass its output on."""
        python = interpreter(request.info)
        directory = request.info.program_directory or request.pwd
        module = ["-m", "pulumi.policy", self.engine] if request.kind == "analyzer" else []
        arguments = [] if module else list(request.args)
        environment = {**os.environ, **dict(entry.split("=", 1) for entry in request.env)}
        with subprocess.Popen(
            [python, "-u", *module, directory, *arguments],
            cwd=request.pwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
        ) as plugin:
            # The engine ends a plugin by ending the call, not by a signal of its own.
            context.add_callback(plugin.kill)
            assert plugin.stdout is not None  # noqa: S101 - for the type checker: the pipe was asked for above
            for line in plugin.stdout:
                yield language_pb2.RunPluginResponse(stdout=line)
        yield language_pb2.RunPluginResponse(exitcode=plugin.returncode)


def end_at_once(number: int, frame: FrameType | None) -> None:
    """Leave without waiting for open calls: the engine waits five seconds for a plugin that lingers."""
    os._exit(0)


def end_with(parent: int) -> None:
    """Leave when the engine has gone without a word, as after `kill -9`; nobody would end this process then."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Serve on a free loopback port and print it first, as Pulumi's plugin protocol asks."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_at_once)
    Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    addresses = [argument for argument in arguments if not argument.startswith("-")]
    server = grpc.server(ThreadPoolExecutor(max_workers=16), options=[("grpc.max_receive_message_length", -1)])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(addresses[-1] if addresses else ""), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - the protocol's first line
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1:])
