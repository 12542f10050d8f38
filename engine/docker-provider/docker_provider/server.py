"""The process: prints its port, serves the engine, ends at once when told to or when the engine is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

WORKERS = 64
"""Calls at a time: most of them wait for the Docker Engine or for a container's health."""
ENDING = {signal.SIGINT, signal.SIGTERM}
PARENT_SECONDS = 0.5


def main() -> None:
    """Serves until SIGINT, SIGTERM or the end of the engine; `sys.argv[1]` is the engine's address."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # inherited by every thread: only this one takes them
    parent = os.getppid()
    server = grpc.server(
        ThreadPoolExecutor(WORKERS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # The port listens already: the engine's connection waits in its queue while the rest is loaded.
    from docker_provider.protocol import provider_pb2_grpc
    from docker_provider.servicer import Provider

    provider = Provider(sys.argv[1] if len(sys.argv) > 1 else None)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    server.start()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.sigwait(ENDING)
    os._exit(0)


def _end_with(parent: int) -> None:
    """Ends when the engine was killed: a provider that goes on alone would work against the next run."""
    while os.getppid() == parent:
        threading.Event().wait(PARENT_SECONDS)
    os._exit(1)
