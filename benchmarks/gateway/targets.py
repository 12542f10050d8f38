"""What is compared: ways by which a client reaches the same stdio server, with a token checked or without."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from benchmarks.edge.run import free_port, wait_for
from benchmarks.runner import targets as bridges
from benchmarks.runner.installed import python_bin
from benchmarks.runner.targets import Target
from tests.gateway.edge.edge_world import ISSUER, Signer, World, new_world, server_entry

HERE = Path(__file__).parent
SERVER = "bench"
LIMITS = {"requestBytes": 4_194_304, "callsPerMinute": 1_000_000_000, "answerSeconds": 300}


@dataclass(frozen=True, slots=True)
class Way:
    """A running way to the server: where, with which headers, and the processes that carry a call."""

    url: str
    headers: dict[str, str]
    pids: tuple[int, ...]


Opening = Callable[[], AbstractContextManager[Way]]


def openings() -> dict[str, Opening]:
    """Name -> how it is started and ended; the first is what the others are compared with."""
    return {
        "runner alone (no checks)": lambda: _bridge(bridges.runner("shared")),
        "edge + runner": _edge,
        "FastMCP proxy with JWTVerifier + runner": _fastmcp,
        "mcp-proxy (no checks)": lambda: _bridge(bridges.mcp_proxy()),
        "supergateway (no checks)": lambda: _bridge(bridges.supergateway()),
    }


@contextlib.contextmanager
def _bridge(target: Target) -> Iterator[Way]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, _running(target.start(port, Path(folder))) as pid:
        wait_for(port)
        yield Way(f"http://127.0.0.1:{port}/mcp", {}, (pid,))


@contextlib.contextmanager
def _edge() -> Iterator[Way]:
    with (
        _bridge(bridges.runner("shared")) as upstream,
        tempfile.TemporaryDirectory() as folder,
        new_world(Path(folder)) as world,
    ):
        world.publish(lambda document: _route(document, upstream.url, world))
        assert world.process is not None
        url = f"http://127.0.0.1:{world.port}/mcp-connect/{SERVER}"
        yield Way(url, _bearer(world.token(SERVER, exp=int(time.time()) + 3600)), (world.process.pid, *upstream.pids))


def _route(document: dict[str, Any], upstream: str, world: World) -> None:
    document["allowedHosts"] = [f"127.0.0.1:{world.port}"]
    document["servers"] = [
        server_entry(SERVER, upstream, ["sub-alice"], tools={"allowed": ["echo"]}, limits=LIMITS),
    ]


@contextlib.contextmanager
def _fastmcp() -> Iterator[Way]:
    signer, port = Signer(), free_port()
    public = signer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with _bridge(bridges.runner("shared")) as upstream, tempfile.TemporaryDirectory() as folder:
        audience = f"{ISSUER}/mcp-connect/{SERVER}"
        settings = {"publicKey": public.decode(), "issuer": ISSUER, "audience": audience}
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps({**settings, "upstream": upstream.url, "port": port}))
        command = [str(python_bin(HERE / "peers") / "python"), str(HERE / "fastmcp_proxy.py"), str(path)]
        with (Path(folder) / "output.log").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        with _running(process) as pid:
            wait_for(port)
            now = int(time.time())
            claims = {"iss": ISSUER, "aud": audience, "sub": "sub-alice", "client_id": "client-1", "scope": "mcp"}
            token = signer.sign({"alg": "ES256", "typ": "at+jwt"}, {**claims, "iat": now, "exp": now + 3600})
            yield Way(f"http://127.0.0.1:{port}/mcp", _bearer(token), (pid, *upstream.pids))


@contextlib.contextmanager
def _running(process: subprocess.Popen[bytes]) -> Iterator[int]:
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
