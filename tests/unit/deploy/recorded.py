"""Runs a program without an engine and records what it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi.runtime

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True)
class Recorded:
    """One resource: its type token, name, and inputs in camelCase; a secret input is wrapped as the engine sees it."""

    token: str
    name: str
    inputs: Mapping[str, Any]


class _Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.resources: list[Recorded] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append(Recorded(args.typ, args.name, args.inputs))
        outputs = {"repoDigest": f"sha256:{args.name}", "imageId": f"sha256:{args.name}", "exitCode": 0}
        return args.name, {**args.inputs, **outputs, "containerLogs": ""}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], None]:
        raise AssertionError(f"{args.token} is called")


def record(program: Callable[[], object], config: Mapping[str, str] | None = None) -> list[Recorded]:
    """Run a program to its end; what it raises comes out."""
    recorder = _Recorder()
    # Tests that ran before may have taken the thread's event loop away, which Pulumi's test runner takes for granted.
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(recorder, project="mcp-hosting", stack="test", preview=False)
    pulumi.runtime.set_all_config(dict(config or {}))

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> None:
        program()

    run()
    return recorder.resources


def unwrapped(value: Any) -> Any:
    """A value as the provider gets it."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return unwrapped(value["value"])
        return {key: unwrapped(item) for key, item in value.items()}
    return [unwrapped(item) for item in value] if isinstance(value, list) else value


def outside_secrets(value: Any) -> Any:
    """A value without everything that is wrapped as a secret."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return "[secret]"
        return {key: outside_secrets(item) for key, item in value.items()}
    return [outside_secrets(item) for item in value] if isinstance(value, list) else value
