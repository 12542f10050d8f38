"""The official conformance suite says the same through the gateway as directly, check by check."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from tests.conformance.authorizing_proxy import AuthorizingProxy
from tests.conformance.fixture_process import fixture_server
from tests.conformance.run import REVISIONS, Results, differences, install, run
from tests.e2e.deployed import Deployed
from tests.e2e.sign_in import Person
from tests.token_storage import Storage

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]

REFRESH_AFTER_SECONDS = 120


class RefreshingToken:
    """An access token that is exchanged for a new one while a long run uses it, as a client would do."""

    def __init__(self, gateway: str, resource: str, storage: Storage) -> None:
        assert storage.tokens is not None
        assert storage.client is not None
        self.gateway, self.resource, self.client = gateway, resource, storage.client
        self.access, self.refresh = storage.tokens.access_token, storage.tokens.refresh_token
        self.since = time.monotonic()

    def __call__(self) -> str:
        if time.monotonic() - self.since > REFRESH_AFTER_SECONDS:
            answer = httpx.post(
                f"{self.gateway}/oauth/token",
                data={
                    "grant_type": "refresh_token",
                    "refresh_token": self.refresh,
                    "client_id": self.client.client_id,
                    "resource": self.resource,
                },
            )
            answer.raise_for_status()
            self.access, self.refresh = answer.json()["access_token"], answer.json()["refresh_token"]
            self.since = time.monotonic()
        return self.access


def both(url: str, token: RefreshingToken, revision: str) -> tuple[Results, Results]:
    """What the suite says of the fixture directly and through the gateway."""
    suite = install()
    with fixture_server() as direct, AuthorizingProxy(url, token).running() as through:
        return run(suite, direct, revision), run(suite, through, revision)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_suite_says_the_same_through_the_gateway(deployed: Deployed, alice: Person, revision: str) -> None:
    url = deployed.server("fixture")
    await alice.token(url)
    token = RefreshingToken(deployed.outputs["gatewayUrl"], url, alice.storage[url])
    direct, through = await asyncio.to_thread(both, url, token, revision)
    assert len(direct) > 30
    assert differences(direct, through) == []
