"""The official SDK on both sides: its client in each era against servers of each era."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mcp.client import Client
from mcp_types import CreateMessageRequestParams, CreateMessageResult, TextContent

from tests.runner.running import SCRIPTED, SDK, Runner, running

pytestmark = pytest.mark.timeout(180)  # importing the SDK takes seconds, for each of its processes


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("sdk"), SDK) as started:
        yield started


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("scripted"), SCRIPTED) as started:
        yield started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("shared"), SDK, session="shared") as started:
        yield started


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28",) * 2])
@pytest.mark.parametrize("server", ["sdk", "shared"])
async def test_the_sdks_server(server: str, mode: Any, version: str, request: pytest.FixtureRequest) -> None:
    runner: Runner = request.getfixturevalue(server)
    seen: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with Client(runner.url + "/mcp", mode=mode) as client:
        assert client.protocol_version == version
        assert {tool.name for tool in (await client.list_tools()).tools} == {"echo", "steps"}
        result = await client.call_tool("echo", {"text": "hé"})
        assert isinstance(result.content[0], TextContent)
        assert result.content[0].text == "hé"
        await client.call_tool("steps", {"count": 3}, progress_callback=progress)
        assert seen == [0, 1, 2]
        unknown = await client.call_tool("nothing", {})
        assert unknown.is_error


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28",) * 2])
async def test_a_legacy_server(scripted: Runner, mode: Any, version: str) -> None:
    async with Client(scripted.url + "/mcp", mode=mode) as client:
        assert client.protocol_version == version
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo"]
        result = await client.call_tool("echo", {"text": "x"})
        assert isinstance(result.content[0], TextContent)
        assert result.content[0].text == "x"


async def test_sampling_through_the_runner(scripted: Runner) -> None:
    async def sample(context: Any, params: CreateMessageRequestParams) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="sampled"), model="m")

    async with Client(scripted.url + "/mcp", mode="legacy", sampling_callback=sample) as client:
        result = await client.call_tool("sample", {"messages": [], "maxTokens": 1})
        assert isinstance(result.content[0], TextContent)
        assert "sampled" in result.content[0].text
