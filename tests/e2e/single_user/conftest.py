"""Two people whose clients stay registered from test to test, and who have given their values."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.deployed import PORT, Deployed
from tests.e2e.sign_in import Person
from tests.e2e.single_user.people import Callers, Kept, Secrets
from tests.e2e.single_user.portal_pages import give


@pytest.fixture(scope="session")
def kept() -> Kept:
    return Kept()


@pytest_asyncio.fixture
async def alice(deployed: Deployed, browser: Browser, kept: Kept) -> Person:
    return Person("alice", deployed.password("alice"), await browser.new_context(), kept.clients["alice"])


@pytest_asyncio.fixture
async def bob(deployed: Deployed, browser: Browser, kept: Kept) -> Person:
    return Person("bob", deployed.password("bob"), await browser.new_context(), kept.clients["bob"])


@pytest_asyncio.fixture
async def given(alice: Person, bob: Person, kept: Kept) -> Secrets:
    """Both have given all values of `fixture-personal` and `bridged-personal` in the portal, once for all tests."""
    found = kept.secrets
    for person in (alice, bob):
        if person.login not in found.personal:
            found.personal[person.login] = {
                "FIXTURE_KEY": f"key {secrets.token_hex(16)} of {person.login}, ünïcode",
                "FIXTURE_NICKNAME": f"{person.login} {secrets.token_hex(4)}",
            }
            await give(person, "fixture-personal", found.personal[person.login])
        if person.login not in found.bridged:
            found.bridged[person.login] = {
                "BRIDGED_TOKEN": secrets.token_hex(16),
                "BRIDGED_FILE": f'{{"file": "{secrets.token_hex(16)}"}}',
            }
            await give(person, "bridged-personal", found.bridged[person.login])
    return found


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}") as client:
        yield client


@pytest.fixture
def callers(deployed: Deployed, http: httpx.AsyncClient) -> Callers:
    return Callers(deployed, http)
