"""The official conformance suite says the same through the gateway as directly, check by check."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from tests.conformance.authorizing_proxy import AuthorizingProxy
from tests.conformance.fixture_process import fixture_server
from tests.conformance.run import REVISIONS, differences, install, run
from tests.e2e.deployed import Deployed
from tests.e2e.sign_in import Person, Storage

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


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_suite_says_the_same_through_the_gateway(deployed: Deployed, alice: Person, revision: str) -> None:
    url = deployed.server("fixture")
    await alice.token(url)
    token = RefreshingToken(deployed.outputs["gatewayUrl"], url, alice.storage[url])
    suite = await asyncio.to_thread(install)
    with fixture_server() as direct_url, AuthorizingProxy(url, token).running() as gateway_url:
        direct = await asyncio.to_thread(run, suite, direct_url, revision)
        through = await asyncio.to_thread(run, suite, gateway_url, revision)
    assert len(direct) > 30
    assert differences(direct, through) == []
