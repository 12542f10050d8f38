"""A person's own instance: as the engine has it, and as a client without a session calls it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import docker
import httpx
from docker.models.containers import Container

from tests.conformance.one_call import META, VERSION
from tests.e2e.deployed import STACK

CALL_SECONDS = 75.0
"""No call takes longer, whatever is killed: the start of an instance is given up after 60 s."""


def subject(token: str) -> str:
    """Whom an access token is for, unverified."""
    part = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["sub"])


def name_of(server: str, person: str) -> str:
    """The name of the instance that a subject has of a server."""
    return f"mcp-{STACK}-{server}-u-{hashlib.sha256(person.encode()).hexdigest()[:12]}"


def instances(server: str | None = None) -> list[Container]:
    """The instances that there are, in whatever state."""
    labels = [f"mcp-hosting.stack={STACK}", "mcp-hosting.role=instance"]
    labels += [f"mcp-hosting.part={server}"] if server else []
    return docker.from_env().containers.list(all=True, filters={"label": labels}, ignore_removed=True)


def instance_networks() -> set[str]:
    """The networks of instances."""
    labels = [f"mcp-hosting.stack={STACK}", "mcp-hosting.role=instance"]
    return {str(each.name) for each in docker.from_env().networks.list(filters={"label": labels})}


async def until(what: str, claim: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until a claim about the engine holds."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(claim):
        assert time.monotonic() < deadline, f"it never came true: {what}"
        await asyncio.sleep(0.25)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status (0: no HTTP answer), the tool's text, or why there is none."""

    status: int
    text: str = ""
    error: str = ""

    @property
    def worked(self) -> bool:
        """Whether the tool answered, and without an error of its own."""
        return self.status == 200 and not self.error


class Caller:
    """Someone who calls a server with requests that stand alone (2026-07-28)."""

    def __init__(self, http: httpx.AsyncClient, url: str, token: str) -> None:
        self.http = http
        self.url = url
        self.token = token

    async def ask(self, tool: str, /, headers: dict[str, str] | None = None, **arguments: Any) -> Answer:
        """Call a tool. A call that hangs fails the test; everything else is an answer."""
        params = {"name": tool, "arguments": arguments, "_meta": META}
        try:
            answer = await self.http.post(
                self.url,
                json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Accept": "application/json, text/event-stream",
                    "MCP-Protocol-Version": VERSION,
                    "Mcp-Method": "tools/call",
                    "Mcp-Name": tool,
                    **(headers or {}),
                },
                timeout=CALL_SECONDS,
            )
        except httpx.TimeoutException as error:
            raise AssertionError(f"{tool} had no answer within {CALL_SECONDS:g} s") from error
        except httpx.TransportError as error:
            return Answer(0, error=type(error).__name__)
        return read(answer)

    async def tell(self, tool: str, /, **arguments: Any) -> str:
        """Call a tool that works."""
        answer = await self.ask(tool, **arguments)
        assert answer.worked, (tool, answer)
        return answer.text

    async def identity(self) -> str:
        """The fixture's id of its process."""
        return str(json.loads(await self.tell("whoami_instance"))["instance"])

    async def proves(self, kind: str, name: str, value: str) -> bool:
        """Whether the fixture has this very value."""
        challenge = secrets.token_hex(16)
        expected = hmac.new(value.encode(), challenge.encode(), "sha256").hexdigest()
        return await self.tell("prove_value", kind=kind, name=name, challenge=challenge) == expected


def read(answer: httpx.Response) -> Answer:
    """The last message of an HTTP answer."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        data = [line[5:] for line in answer.text.splitlines() if line.startswith("data:") and len(line) > 6]
        if not data:
            return Answer(answer.status_code, error="the stream ended without an answer")
        message = json.loads(data[-1])
    else:
        try:
            message = answer.json()
        except ValueError:
            return Answer(answer.status_code, error=answer.text or "no body")
    result = message.get("result")
    if result is None:
        return Answer(answer.status_code, error=json.dumps(message.get("error", message)))
    text = "\n".join(str(each.get("text", "")) for each in result.get("content", []))
    return Answer(answer.status_code, text, text if result.get("isError") else "")


async def settled(claim: Callable[[], Awaitable[bool]], what: str, seconds: float = 90.0) -> None:
    """Try again until something works, as a client's user would."""
    deadline = time.monotonic() + seconds
    while not await claim():
        assert time.monotonic() < deadline, f"it never worked: {what}"
        await asyncio.sleep(0.5)


def crash(container: Container) -> None:
    """Kill a container's first process behind the engine's back, as a crash does: the engine's own `kill` counts as
    the operator's wish, after which it starts nothing again."""
    container.reload()
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
