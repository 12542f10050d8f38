"""First passwords: every login of a stack that has none gets one, which goes into the stack's config as a secret."""

from __future__ import annotations

import json
import secrets

from engine.console import Console
from engine.errors import EngineError
from engine.process import capture
from engine.setup import Ready

# Without the letters and digits that are taken for one another: a first password is often typed from a screen.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, LETTERS = 4, 5


def readable_password() -> str:
    """Return a random password of four groups of five letters: 99 bits."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(LETTERS)) for _ in range(GROUPS))


def without_password(listed: str) -> list[str]:
    """Return the logins marked "missing" in what `components.cli logins` prints: login, tab, state, one a line."""
    rows = (line.split("\t") for line in listed.splitlines() if line.strip())
    return [login for login, state in rows if state == "missing"]


def config_path(login: str) -> str:
    """Return the property path of a login's password. JSON's quoting is the one that Pulumi's paths use."""
    return f"mcp-hosting:passwords[{json.dumps(login)}]"


def ensure(ready: Ready, console: Console, stack: str) -> None:
    """Give a first password to each login that has none. It reaches Pulumi by standard input, never as an argument."""
    listed = capture(
        [ready.layout.python, "-m", "components.cli", "logins", "--stack", stack], env=ready.env, cwd=ready.layout.root
    )
    if not listed.ok:
        raise EngineError(listed.err.strip() or listed.out.strip(), "mend the stack's config, then run it again")
    for login in without_password(listed.out):
        stored = capture(
            ["pulumi", "config", "set", "--secret", "--path", config_path(login), "--stack", stack],
            env=ready.env,
            cwd=ready.layout.root,
            stdin=readable_password(),
            timeout=60,
        )
        if not stored.ok:
            raise EngineError(f"{login}'s first password can't be stored: {stored.err.strip()}")
        console.line("password", f"made a first one for {login}: `make password LOGIN={login}` shows it")
