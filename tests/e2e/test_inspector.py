"""The MCP Inspector's command line, an unmodified client of another make, works through the gateway."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.deployed import Deployed
from tests.e2e.node_tools import environment, installed
from tests.e2e.sign_in import Person

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]


def inspector(modules: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(modules / "node" / "bin" / "node"), str(modules / ".bin" / "mcp-inspector"), "--cli", *arguments],
        env={**environment(modules), "HOME": str(home), "CI": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


async def test_the_inspector_lists_and_calls_tools(deployed: Deployed, alice: Person, tmp_path: Path) -> None:
    modules = await asyncio.to_thread(installed, Path(__file__).parent / "inspector")
    url = deployed.server("everything")
    target = [url, "--transport", "http", "--header", f"Authorization: Bearer {await alice.token(url)}"]
    listed = await asyncio.to_thread(inspector, modules, tmp_path, *target, "--method", "tools/list")
    assert listed.returncode == 0, listed.stderr
    assert "echo" in {tool["name"] for tool in json.loads(listed.stdout)["tools"]}
    called = await asyncio.to_thread(
        inspector,
        modules,
        tmp_path,
        *target,
        "--method",
        "tools/call",
        "--tool-name",
        "echo",
        "--tool-arg",
        "message=hi",
    )
    assert called.returncode == 0, called.stderr
    assert "hi" in called.stdout


async def test_without_a_token_the_inspector_is_told_to_sign_in(deployed: Deployed, tmp_path: Path) -> None:
    modules = await asyncio.to_thread(installed, Path(__file__).parent / "inspector")
    refused = await asyncio.to_thread(
        inspector, modules, tmp_path, deployed.server("everything"), "--transport", "http", "--method", "tools/list"
    )
    assert refused.returncode != 0
