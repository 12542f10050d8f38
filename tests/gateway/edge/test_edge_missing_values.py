"""A user whose values are missing is sent to the portal: by text, or by a URL that the client offers to open."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError, UrlElicitationRequiredError
from mcp.client import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult

from tests.gateway.edge.edge_world import HOST, ISSUER, World
from tests.gateway.edge.homes import ALICE, PING, Homes
from tests.gateway.rules import rule

CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
VERSION = "io.modelcontextprotocol/protocolVersion"
URL = f"{ISSUER}/servers/memory"


def take_values(document: dict[str, Any]) -> None:
    for server in document["servers"]:
        server["missing"] = {subject: ["API key", "Region"] for subject in server["subjects"]}


def initialize(capabilities: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": "a",
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": capabilities},
    }


def modern(method: str, capabilities: Any, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    meta = {VERSION: "2026-07-28", CAPABILITIES: capabilities}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if "name" in params or "uri" in params:
        headers["Mcp-Name"] = params.get("name") or params["uri"]
    return {"jsonrpc": "2.0", "id": 5, "method": method, "params": {**params, "_meta": meta}}, headers


@pytest.mark.parametrize("kind", ["multiUser", "remote"])
def test_the_text_names_values_and_page_for_servers_of_every_kind(homes: Homes, kind: str) -> None:
    homes.world.publish(take_values)
    homes.world.publish(lambda document: document["servers"][0].update({"kind": kind}))
    for server in ("memory", "time"):
        reply = homes.call(PING, server=server)
        expected = f"API key, Region. Enter them at {ISSUER}/servers/{server}"
        assert (reply.status, reply.json()["error"]["code"]) == (200, -32000)
        assert reply.json()["error"]["message"].endswith(expected)
        assert homes.call(None, method="GET", server=server).json()["message"].endswith(expected)
    assert homes.fleet.starts == []
    assert homes.world.upstream.requests == []


@rule(69)
def test_a_client_that_opens_urls_is_told_the_page_in_its_first_answer(homes: Homes) -> None:
    homes.world.publish(take_values)
    since = homes.world.audited()
    seen = []
    for subject in ("sub-alice", "sub-bob"):
        reply = homes.call(initialize({"elicitation": {"form": {}, "url": {}}}), subject)
        error = reply.json()["error"]
        assert (reply.status, reply.json()["id"], error["code"]) == (200, "a", -32042)
        (elicitation,) = error["data"]["elicitations"]
        assert (elicitation["mode"], elicitation["url"]) == ("url", URL)
        assert "API key, Region" in elicitation["message"]
        seen.append(elicitation)
        told = json.dumps(elicitation)
        assert subject not in told
        assert homes.world.token("memory", subject)[:20] not in told
    # Nothing in it is the user's: whoever opens it is asked to sign in, and gives values for themselves.
    assert seen[0]["url"] == seen[1]["url"]
    assert seen[0]["elicitationId"] != seen[1]["elicitationId"]
    assert {record["refused"] for record in homes.world.audit(2, since)} == {"values missing"}


@pytest.mark.parametrize(
    "capabilities",
    [
        {},
        {"elicitation": {}},
        {"elicitation": {"form": {}}},
        {"elicitation": {"url": True}},
        {"elicitation": []},
        None,
        5,
    ],
)
def test_a_client_that_does_not_say_that_it_opens_urls_gets_the_text(homes: Homes, capabilities: Any) -> None:
    homes.world.publish(take_values)
    legacy = homes.call(initialize(capabilities))
    message, headers = modern("tools/call", capabilities, name="x")
    for reply, status in ((legacy, 200), (homes.call(message, headers=headers), 400)):
        assert (reply.status, reply.json()["error"]["code"]) == (status, -32000)
        assert reply.json()["error"]["message"].endswith(URL)


@rule(70)
@pytest.mark.parametrize(
    ("method", "params"),
    [("tools/call", {"name": "x"}), ("prompts/get", {"name": "x"}), ("resources/read", {"uri": "x:y"})],
)
def test_a_modern_client_is_asked_in_the_result(homes: Homes, method: str, params: dict[str, str]) -> None:
    homes.world.publish(take_values)
    opens: dict[str, Any] = {"elicitation": {"url": {}}}
    message, headers = modern(method, opens, **params)
    for state in ({}, {"requestState": "forged", "inputResponses": {"values": {"action": "accept"}}}):
        asked = {**message, "params": {**message["params"], **state}}
        reply = homes.call(asked, headers=headers)
        assert (reply.status, reply.json()["id"]) == (200, 5)
        result = reply.json()["result"]
        # There is no state that could be forged: only the document says whether the values are there.
        assert result.keys() == {"resultType", "inputRequests"}
        assert result["resultType"] == "input_required"
        (request,) = result["inputRequests"].values()
        assert request["method"] == "elicitation/create"
        assert request["params"].keys() == {"mode", "message", "url"}
        assert request["params"]["url"] == URL
    for action in ("decline", "cancel"):
        declined = {**message["params"], "inputResponses": {"values": {"action": action}}}
        reply = homes.call({**message, "params": declined}, headers=headers)
        assert (reply.status, reply.json()["error"]["code"]) == (400, -32000)


@pytest.mark.parametrize("method", ["server/discover", "tools/list", "initialize"])
def test_other_requests_are_not_answered_by_asking(homes: Homes, method: str) -> None:
    homes.world.publish(take_values)
    message, headers = modern(method, {"elicitation": {"url": {}}})
    reply = homes.call(message, headers=headers)
    assert (reply.status, reply.json()["error"]["code"]) == (400, -32000)


def test_values_that_the_control_side_misses_are_told_alike(homes: Homes) -> None:
    refused = {"error": "values-missing", "message": "Some are missing.", "retrySeconds": None, "missing": ["Key"]}
    homes.fleet.start = lambda request: (403, refused)
    error = homes.call(initialize({"elicitation": {"url": {}}})).json()["error"]
    assert error["data"]["elicitations"][0]["url"] == URL
    assert homes.call().json()["error"]["message"].endswith(f"not given: Key. Enter them at {URL}")
    homes.fleet.start = lambda request: (403, {**refused, "missing": []})
    assert homes.call().json()["error"]["message"] == "Some are missing."


def http(world: World) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {world.token('memory')}", "Host": HOST}
    return httpx2.AsyncClient(headers=headers, timeout=20)


def url_of(world: World) -> str:
    return f"http://127.0.0.1:{world.port}/mcp-connect/memory"


async def connection_error(world: World, mode: str, callback: Any = None) -> MCPError:
    """What the official client raises when it connects."""
    try:
        async with http(world) as client:
            transport = streamable_http_client(url_of(world), http_client=client)
            async with Client(transport, mode=mode, elicitation_callback=callback):
                raise AssertionError("the client connected")
    except BaseExceptionGroup as error:
        return mcp_error(error)
    except MCPError as error:
        return error


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_sees_the_url_when_it_connects(homes: Homes, mode: str) -> None:
    homes.world.publish(take_values)

    async def opens(context: ClientRequestContext, params: Any) -> ElicitResult:
        return ElicitResult(action="accept")

    error = await connection_error(homes.world, mode, opens)
    required = UrlElicitationRequiredError.from_error(error.error)
    assert [each.url for each in required.elicitations] == [URL]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_without_a_way_to_ask_shows_the_text(homes: Homes, mode: str) -> None:
    homes.world.publish(take_values)
    error = await connection_error(homes.world, mode)
    assert f"API key, Region. Enter them at {URL}" in str(error)


async def test_the_official_client_asks_the_user_and_goes_on_when_the_values_are_there(homes: Homes) -> None:
    (home,) = homes.warm(ALICE)
    asked = []

    def tell(handler: Any, seen: Any) -> None:
        message = json.loads(seen.body)
        result: dict[str, Any] = {"tools": [], "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
        if message["method"] == "tools/call":
            result = {"content": [{"type": "text", "text": "done"}], "resultType": "complete"}
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        handler.send_response_only(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    home.behaviour = tell
    homes.world.publish(take_values)

    async def opens(
        context: ClientRequestContext, params: ElicitRequestURLParams | ElicitRequestFormParams
    ) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        asked.append(params.url)
        if len(asked) == 2:
            homes.world.publish(lambda document: document["servers"][3].update({"missing": {}}))
        return ElicitResult(action="accept")

    async with http(homes.world) as client:
        transport = streamable_http_client(url_of(homes.world), http_client=client)
        async with Client(transport, mode="2026-07-28", elicitation_callback=opens) as connected:
            result = await connected.call_tool("x", {})
    assert result.content[0].text == "done"  # type: ignore[union-attr]
    assert asked == [URL, URL]


def mcp_error(error: BaseException) -> MCPError:
    """The client's error within the groups that it came in."""
    if isinstance(error, BaseExceptionGroup):
        return mcp_error(error.exceptions[0])
    assert isinstance(error, MCPError)
    return error
