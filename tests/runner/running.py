"""Starting a runner as its image does, and speaking HTTP to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from mcp_wire.sse import Decoder

ROOT = Path(__file__).parents[2]
CHILDREN = Path(__file__).parent / "children"
SCRIPTED = [sys.executable, "-S", str(CHILDREN / "scripted.py")]
SDK = [sys.executable, str(CHILDREN / "sdk.py")]
BOTH = {"Accept": "application/json, text/event-stream"}
LEGACY = "2025-11-25"
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
Message = dict[str, Any]


class Runner:
    """A runner's process and its log."""

    def __init__(self, process: subprocess.Popen[bytes]):
        self.process = process
        self.log: list[dict[str, str]] = []
        self.url = ""
        self._listening = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            entry = json.loads(line)
            self.log.append(entry)
            if entry["text"].startswith("listening on "):
                self.url = "http://" + entry["text"].removeprefix("listening on ")
                self._listening.set()
        self._listening.set()

    def wait(self) -> None:
        assert self._listening.wait(90)
        assert self.url, self.log

    def wait_for_log(self, text: str) -> dict[str, str]:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for entry in list(self.log):
                if text in entry["text"]:
                    return entry
            time.sleep(0.02)
        raise AssertionError(f"{text!r} isn't in the log: {self.log}")

    def children(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextmanager
def running(folder: Path, command: list[str], *, wait: bool = True, **settings: Any) -> Iterator[Runner]:
    """Start a runner on a free port; ended, with its children, at the end."""
    path = folder / "runner.json"
    path.write_text(json.dumps({"version": 1, "command": command, "cwd": str(folder), **settings}))
    environment = {
        "PYTHONPATH": f"{ROOT}/images/wire:{ROOT}/images/runner",
        "RUNNER_ONLY": "x",
        "PATH": os.environ["PATH"],
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_runner", "--config", str(path), "--listen", "127.0.0.1:0"],
        env=environment,
        stdout=subprocess.PIPE,
    )
    runner = Runner(process)
    try:
        if wait:
            runner.wait()
        yield runner
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


class Client:
    """A client that shows what it gets: status, headers, and every message of a response."""

    def __init__(self, http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None):
        self.http = http
        self.url = url
        self.headers = {**BOTH, **(headers or {})}
        self._id = 0

    async def post(self, message: object, headers: dict[str, str] | None = None) -> tuple[int, list[Message]]:
        async with self.http.post(
            self.url + "/mcp", json=message, headers={**self.headers, **(headers or {})}
        ) as answer:
            body = await answer.read()
            if answer.content_type == "text/event-stream":
                return answer.status, [json.loads(event.data) for event in Decoder().feed(body)]
            self.last = answer
            return answer.status, [json.loads(body)] if body else []

    async def initialize(self, capabilities: Message | None = None) -> Message:
        params = {"protocolVersion": LEGACY, "capabilities": capabilities or {}, "clientInfo": META_CLIENT}
        status, messages = await self.post(request("initialize", params, 0))
        assert status == 200, messages
        self.headers |= {"Mcp-Session-Id": self.last.headers["Mcp-Session-Id"], "MCP-Protocol-Version": LEGACY}
        assert (await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})) == (202, [])
        return messages[0]

    async def call(self, tool: str, /, **arguments: Any) -> str:
        """Call a tool in the legacy era and return its text."""
        self._id += 1
        status, messages = await self.post(call(tool, self._id, **arguments))
        assert status == 200
        assert messages[-1]["id"] == self._id
        return text(messages[-1])

    async def modern(
        self, tool: str, id: object = 1, /, meta: Message | None = None, **arguments: Any
    ) -> tuple[int, list[Message]]:
        params = {"name": tool, "arguments": arguments, "_meta": {**META, **(meta or {})}}
        return await self.post(request("tools/call", params, id), modern_headers("tools/call", tool))

    @asynccontextmanager
    async def stream(self, message: Message | None = None) -> AsyncIterator[AsyncIterator[Message]]:
        """Open a GET stream, or a POST whose messages are wanted as they come."""
        method = "GET" if message is None else "POST"
        async with self.http.request(method, self.url + "/mcp", json=message, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            yield events(answer)


META_CLIENT = {"name": "test", "version": "1"}


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    decoder = Decoder()
    async for chunk in answer.content.iter_any():
        for event in decoder.feed(chunk):
            yield json.loads(event.data)


def request(method: str, params: Message | None = None, id: object = 1) -> Message:
    return {"jsonrpc": "2.0", "id": id, "method": method, **({"params": params} if params is not None else {})}


def call(tool: str, id: object, /, **arguments: Any) -> Message:
    return request("tools/call", {"name": tool, "arguments": arguments}, id)


def modern_headers(method: str, name: str | None = None) -> dict[str, str]:
    return {"MCP-Protocol-Version": MODERN, "Mcp-Method": method, **({"Mcp-Name": name} if name else {})}


def text(message: Message) -> str:
    assert "result" in message, message
    return str(message["result"]["content"][0]["text"])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(claim: Any, seconds: float = 15.0) -> None:
    """Wait until a claim holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)
