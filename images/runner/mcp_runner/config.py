"""The runner's configuration document (docs/contracts.md, section 6)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DEFAULTS: dict[str, Any] = {
    "env": {},
    "secretEnvFile": None,
    "cwd": "/",
    "session": "own",
    "sessionIdleSeconds": 900,
    "maxSessions": 100,
    "startupSeconds": 60,
    "requestBytes": 4_194_304,
}
_INHERITED = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108


class ConfigError(ValueError):
    """Every problem of a document, one a line. Never holds a value of the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """What to run and how. `env` is the child's whole environment, secrets included; it is never printed."""

    command: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    shared: bool
    idle_seconds: float
    max_sessions: int
    startup_seconds: float
    request_bytes: int

    def __repr__(self) -> str:
        return f"RunnerConfig(command={self.command[0]!r}, …)"


def load(path: Path) -> RunnerConfig:
    """Read the document and the secret file that it names. Raises ConfigError with all problems."""
    document = _object(path)
    secrets: dict[str, Any] = {}
    secret_path = document.get("secretEnvFile")
    if isinstance(secret_path, str):
        secrets = _object(Path(secret_path))
        if not all(is_text(value) for value in secrets.values()):
            raise ConfigError(f"{secret_path}: every value must be a string without NUL")
    return parse(document, secrets, os.environ)


def parse(document: dict[str, Any], secrets: dict[str, str], inherited: Any) -> RunnerConfig:
    """Check a document. `inherited` is the runner's own environment, of which four variables reach the child."""
    problems = []
    if document.get("version") != 1:
        problems.append("version: this runner reads version 1")
    unknown = document.keys() - _DEFAULTS.keys() - {"version", "command"}
    problems += [f"{key}: unknown field; remove it" for key in unknown]
    values = {**_DEFAULTS, **document}
    command = values.get("command")
    if not isinstance(command, list) or not command or not all(isinstance(part, str) and part for part in command[:1]):
        problems.append("command: want a list whose first item is the program")
    elif not all(is_text(part) for part in command):
        problems.append("command: every item must be a string without NUL")
    env = values["env"]
    if not isinstance(env, dict) or not all(is_text(value) for value in env.values()):
        problems.append("env: want an object of strings")
        env = {}
    problems += [f"env: {name!r} isn't a variable's name" for name in {**env, **secrets} if not name or "=" in name]
    if not isinstance(values["cwd"], str):
        problems.append("cwd: want a path")
    if values["secretEnvFile"] is not None and not isinstance(values["secretEnvFile"], str):
        problems.append("secretEnvFile: want a path or null")
    if values["session"] not in ("own", "shared"):
        problems.append("session: want own or shared")
    for key, kinds in (
        ("sessionIdleSeconds", (int, float)),
        ("maxSessions", int),
        ("startupSeconds", (int, float)),
        ("requestBytes", int),
    ):
        if isinstance(values[key], bool) or not isinstance(values[key], kinds) or values[key] <= 0:
            problems.append(f"{key}: want a number above 0")
    if problems:
        raise ConfigError("\n".join(sorted(problems)))
    base = {name: inherited.get(name, default) for name, default in _INHERITED.items()}
    return RunnerConfig(
        command=tuple(values["command"]),
        env={**base, **env, **secrets},
        cwd=values["cwd"],
        shared=values["session"] == "shared",
        idle_seconds=values["sessionIdleSeconds"],
        max_sessions=values["maxSessions"],
        startup_seconds=values["startupSeconds"],
        request_bytes=values["requestBytes"],
    )


def is_text(value: object) -> bool:
    """Say whether a value is a string that a command line or a variable can hold. JSON can also hold halves of a
    character."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)


def parse_object(content: bytes, source: str) -> dict[str, Any]:
    """Read a JSON object; `source` is what an error calls it. Raises ConfigError."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ConfigError(f"{source}: not valid JSON") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{source}: want a JSON object")
    return document


def _object(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse_object(content, str(path))
