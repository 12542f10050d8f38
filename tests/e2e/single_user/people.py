"""Who takes part: what they give, what their clients keep from test to test, and how they call."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import httpx

from tests.e2e.deployed import Deployed
from tests.e2e.sign_in import Person
from tests.e2e.single_user.instances import Caller
from tests.token_storage import Storage


@dataclass
class Secrets:
    """What alice and bob give, each something else: login -> setting -> value."""

    personal: dict[str, dict[str, str]] = field(default_factory=dict)
    bridged: dict[str, dict[str, str]] = field(default_factory=dict)

    def all(self) -> list[str]:
        """Every sensitive value."""
        sensitive = ("FIXTURE_KEY", "BRIDGED_TOKEN", "BRIDGED_FILE")
        given = (*self.personal.values(), *self.bridged.values())
        return [value for each in given for key, value in each.items() if key in sensitive]


@dataclass
class Kept:
    """What outlives a test: registrations and tokens of each person's clients, and what was given in the portal."""

    clients: dict[str, dict[str, Storage]] = field(default_factory=lambda: defaultdict(dict))
    secrets: Secrets = field(default_factory=Secrets)


@dataclass
class Callers:
    """Makes callers for servers."""

    deployed: Deployed
    http: httpx.AsyncClient

    async def of(self, person: Person, server: str) -> Caller:
        """The person, signed in for a server."""
        url = self.deployed.server(server)
        return Caller(self.http, url, await person.token(url))
