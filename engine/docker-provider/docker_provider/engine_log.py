"""Lines to the engine's log, which `pulumi` shows. A log that cannot be written never fails an operation."""

from __future__ import annotations

import threading

import grpc

from docker_provider.protocol import engine_pb2, engine_pb2_grpc

_SECONDS = 5.0


class EngineLog:
    """The engine's log, by its address; without one (in a test) nothing is written."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._stub: engine_pb2_grpc.EngineStub | None = None
        self._lock = threading.Lock()

    def attach(self, address: str) -> None:
        """Names another engine."""
        with self._lock:
            self._address, self._stub = address, None

    def info(self, message: str, urn: str = "", *, passing: bool = False) -> None:
        """A line for people; a `passing` one is shown beside the resource while it is worked on."""
        with self._lock:
            if self._address is None:
                return
            if self._stub is None:
                self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._address))
            stub = self._stub
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=passing)
        try:
            stub.Log(request, timeout=_SECONDS)
        except grpc.RpcError:
            return
