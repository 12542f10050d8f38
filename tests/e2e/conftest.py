"""One deployed stack and one browser for all end-to-end tests; both are taken away at the end."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.deployed import Deployed, prepare
from tests.e2e.sign_in import Person, chromium

METADATA = "169.254.169.254"


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    stack = prepare(tmp_path_factory.mktemp("stack"))
    try:
        stack.up()
        yield stack
    finally:
        stack.pulumi("destroy", "--yes", check=False)
        left, networks = [each.name for each in stack.containers()], stack.networks()
        stack.remove_volumes()
        assert (left, networks) == ([], []), "destroy leaves nothing but volumes"


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture
async def alice(deployed: Deployed, browser: Browser) -> Person:
    return Person("alice", deployed.password("alice"), await browser.new_context())


@pytest_asyncio.fixture
async def bob(deployed: Deployed, browser: Browser) -> Person:
    return Person("bob", deployed.password("bob"), await browser.new_context())


@pytest.fixture
def metadata_host() -> Iterator[str]:
    """A metadata service of the test's own, on an interface that it makes and takes away."""
    subprocess.run(["ip", "addr", "add", f"{METADATA}/32", "dev", "lo"], check=True)
    server = subprocess.Popen(["python3", "-m", "http.server", "80", "--bind", METADATA, "--directory", "/var/empty"])
    try:
        yield METADATA
    finally:
        server.kill()
        server.wait()
        subprocess.run(["ip", "addr", "del", f"{METADATA}/32", "dev", "lo"], check=True)


@pytest.fixture
def host_service() -> Iterator[int]:
    """A service of the host that listens on every address."""
    server = subprocess.Popen(
        ["python3", "-m", "http.server", "18099", "--bind", "0.0.0.0", "--directory", "/var/empty"]
    )
    try:
        yield 18099
    finally:
        server.kill()
        server.wait()
