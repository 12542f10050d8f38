"""The modern era (2026-07-28): each POST stands alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.runner.running import META, MODERN, SCRIPTED, Client, Runner, modern_headers, request, running, text, until


@pytest.fixture(scope="module", params=[[], ["--modern"]], ids=["legacy server", "modern server"])
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("modern"), [*SCRIPTED, *request.param]) as started:
        yield started


@pytest.fixture
def modern(request: pytest.FixtureRequest) -> bool:
    return bool("modern server" in request.node.callspec.id)


@pytest.fixture
async def client(runner: Runner) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, runner.url)


async def test_a_call_without_any_session(client: Client) -> None:
    status, messages = await client.modern("echo", "id-1", text="ü")
    assert status == 200
    assert messages[0]["id"] == "id-1"
    assert messages[0]["result"]["resultType"] == "complete"
    assert text(messages[0]) == "ü"


async def test_rule_88_no_session_ids_and_no_get_or_delete(client: Client) -> None:
    await client.modern("echo", text="x")
    assert "Mcp-Session-Id" not in client.last.headers
    headers = {**client.headers, "MCP-Protocol-Version": MODERN, "Mcp-Session-Id": "x", "Last-Event-ID": "1"}
    for method in ("GET", "DELETE"):
        async with client.http.request(method, client.url + "/mcp", headers=headers) as answer:
            assert answer.status == 405
    status, _ = await client.post(
        request("tools/list", {"_meta": META}), {**modern_headers("tools/list"), "Mcp-Session-Id": "x"}
    )
    assert status == 200


async def test_rule_92_discovery(client: Client) -> None:
    status, messages = await client.post(request("server/discover", {"_meta": META}), modern_headers("server/discover"))
    result = messages[0]["result"]
    assert status == 200
    assert MODERN in result["supportedVersions"]
    assert result["resultType"] == "complete"
    assert {"ttlMs", "cacheScope", "capabilities"} <= result.keys()


@pytest.mark.parametrize(
    ("headers", "meta", "status", "code"),
    [
        ({"Mcp-Method": "tools/list"}, META, 400, -32020),
        ({"Mcp-Method": None}, META, 400, -32020),
        ({"Mcp-Name": "pid"}, META, 400, -32020),
        ({"Mcp-Name": None}, META, 400, -32020),
        ({"Mcp-Name": "=?base64?%%%?="}, META, 400, -32020),
        ({"Mcp-Name": "=?base64?ZWNobw==?="}, META, 200, None),
        ({"MCP-Protocol-Version": "2025-11-25"}, META, 400, None),
        ({"MCP-Protocol-Version": None}, META, 400, -32020),
        (
            {"MCP-Protocol-Version": "2031-01-01"},
            {**META, "io.modelcontextprotocol/protocolVersion": "2031-01-01"},
            400,
            -32022,
        ),
        ({}, None, 400, -32602),
        ({}, {}, 400, -32602),
        ({}, {key: value for key, value in META.items() if "Capabilities" not in key}, 400, -32602),
    ],
)
async def test_rules_79_80_82_91_headers_must_agree_with_the_body(
    client: Client, headers: dict[str, str | None], meta: dict[str, object] | None, status: int, code: int | None
) -> None:
    sent = {name: value for name, value in {**modern_headers("tools/call", "echo"), **headers}.items() if value}
    params = {"name": "echo", "arguments": {"text": "x"}, **({"_meta": meta} if meta is not None else {})}
    got, messages = await client.post(request("tools/call", params), sent)
    assert got == status, messages
    if code is not None:
        assert messages[0]["error"]["code"] == code
        assert messages[0]["id"] == 1
    if code == -32022:
        assert MODERN in messages[0]["error"]["data"]["supported"]


async def test_rule_91_an_unknown_method_is_404(client: Client) -> None:
    for method in ("no/such", "initialize"):
        status, messages = await client.post(request(method, {"_meta": META}), modern_headers(method))
        assert (status, messages[0]["error"]["code"]) == (404, -32601), method


async def test_notifications_are_accepted_and_responses_are_not(client: Client) -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert await client.post(notification, {"MCP-Protocol-Version": MODERN}) == (202, [])
    assert (await client.post({"jsonrpc": "2.0", "id": 1, "result": {}}, {"MCP-Protocol-Version": MODERN}))[0] == 400


async def test_progress_of_requests_that_use_the_same_id_and_token(client: Client) -> None:
    both = await asyncio.gather(*(client.modern("progress", 1, {"progressToken": "t"}, steps=n) for n in (2, 4)))
    assert [len(messages) for _, messages in both] == [3, 5]
    assert {m["params"]["progressToken"] for _, messages in both for m in messages[:-1]} == {"t"}


async def test_rule_83_closing_the_response_cancels(client: Client, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.modern("until cancelled", mark=str(mark)), 0.3)
    await until(mark.exists)
    await until(lambda: mark.read_text() == "True")


async def test_users_never_share_a_process(client: Client) -> None:
    async def pid(user: str) -> str:
        client.headers |= {"X-Mcp-User": user, "X-Mcp-Client": "c"}
        return text((await client.modern("pid"))[1][-1])

    alice, bob = await pid("alice"), await pid("bob")
    assert alice != bob
    assert await pid("alice") == alice


async def test_the_death_of_a_process_is_an_error_and_the_next_call_gets_another(client: Client) -> None:
    status, messages = await client.modern("die", "d")
    assert status == 502
    assert messages[0]["id"] == "d"
    assert messages[0]["error"]["code"] == -32000
    status, messages = await client.modern("echo", text="again")
    assert (status, text(messages[0])) == (200, "again")


async def test_the_envelope_reaches_a_server_that_knows_it_only(client: Client, modern: bool) -> None:
    _, messages = await client.modern("meta", 1, {"progressToken": 9, "org.example/x": 1})
    seen = json.loads(text(messages[-1]))
    assert seen["org.example/x"] == 1
    assert set(seen) - set(META) == {"progressToken", "org.example/x"}
    assert any(key in seen for key in META) == modern


async def test_a_legacy_client_works_as_well(client: Client) -> None:
    answer = await client.initialize()
    assert answer["result"]["protocolVersion"] == "2025-11-25"
    _, messages = await client.post(request("tools/list"))
    assert messages[0]["result"]["tools"][0]["name"] == "echo"
    assert "resultType" not in messages[0]["result"]
    assert await client.call("echo", text="old") == "old"
    assert (await client.post(request("ping")))[1][0]["result"] == {}


async def test_log_messages_only_for_a_request_that_wants_them(client: Client, modern: bool) -> None:
    if modern:
        return  # a server of this era decides itself
    level = {"io.modelcontextprotocol/logLevel": "info"}
    assert len((await client.modern("log"))[1]) == 1
    assert (await client.modern("log", 1, level))[1][0]["method"] == "notifications/message"


async def test_a_server_cannot_ask_a_client_of_this_era(client: Client) -> None:
    _, messages = await client.modern("sample")
    assert json.loads(text(messages[0]))["error"]["code"] == -32601
