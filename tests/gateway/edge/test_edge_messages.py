"""What may be called: messages with one reading, headers that agree with them, tools that are allowed."""

from __future__ import annotations

import base64
import json
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.gateway.edge.edge_world import Seen, World, answer
from tests.gateway.rules import rule

VERSION = "io.modelcontextprotocol/protocolVersion"
MODERN = "2026-07-28"


def modern(method: str, params: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    meta = {VERSION: MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**(params or {}), "_meta": meta}, **changes}


AMBIGUOUS = {
    "duplicate method": b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"sell"}}',
    "escaped duplicate": b'{"jsonrpc":"2.0","id":1,"method":"ping","meth\\u006fd":"tools/call","params":{"name":"x"}}',
    "Method": b'{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"sell"}}',
    "METHOD alone": b'{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","result":{}}',
    "Params": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy"},"Params":{"name":"sell"}}',
    "long s": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy"},"param\u017f":{}}'.encode(),
    "Name": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy","Name":"sell"}}',
    "duplicate name": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"buy","name":"sell"}}',
    "duplicate far inside": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[{"b":1,"b":2}]}}',
    "batch": b'[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"sell"}}]',
    "UTF-16": '{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
    "lone surrogate": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}',
    "invalid UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\xff"}}',
    "NaN": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}',
    "large integer": b'{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}',
    "deep": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + b"[" * 500 + b"]" * 500 + b"}}",
    "id null": b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
    "id true": b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
    "method and result": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{}}',
    "two documents": b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"tools/call"}',
    "params as list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["sell"]}',
    "tool's name as list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["sell"]}}',
    "no version": b'{"id":1,"method":"ping"}',
    "text": b'"tools/call"',
    "nothing": b"",
}


@rule(19)
@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_what_two_readers_may_read_differently_is_refused(world: World, kind: str) -> None:
    reply = world.call(AMBIGUOUS[kind], "shop")
    assert reply.status == 400
    assert reply.json()["error"]["code"] in (-32700, -32600)
    assert "sell" not in reply.body.decode()
    assert world.upstream.requests == []


def test_the_server_gets_the_canonical_body(world: World) -> None:
    raw = b'{ "jsonrpc" : "2.0",\n "id":\t1, "method": "p\\u0069ng", "params": {"n": 1.50, "t": "\\u00e9\\/"} }'
    assert world.call(raw, headers={"Content-Type": "application/json; charset=utf-16"}).status == 200
    seen = world.upstream.requests[0]
    assert seen.body == '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":1.5,"t":"é/"}}'.encode()
    assert seen.get("content-type") == "application/json"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_web_form_can_send_is_no_call(world: World, kind: str) -> None:
    assert world.call({"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"Content-Type": kind}).status == 415


@rule(80)
def test_headers_that_contradict_the_body_are_refused(world: World) -> None:
    call = modern("tools/call", {"name": "buy"})
    good = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "buy"}
    assert world.call(call, "shop", headers=good).status == 200
    for change in (
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": "Tools/Call"},
        {"Mcp-Name": "sell"},
        {"Mcp-Name": "=?base64?YnV5?= "[:-2]},
        {"MCP-Protocol-Version": "2025-11-25"},
    ):
        reply = world.call(call, "shop", headers={**good, **change})
        assert reply.status == 400, change
        assert reply.json()["error"]["code"] == -32020
        assert reply.json()["id"] == 7
    for missing in ("Mcp-Method", "Mcp-Name"):
        reply = world.call(call, "shop", headers={name: value for name, value in good.items() if name != missing})
        assert (reply.status, reply.json()["error"]["code"]) == (400, -32020)
    assert len(world.upstream.requests) == 1


@rule(80)
def test_a_routing_header_sent_twice_is_refused(world: World) -> None:
    head = (
        f"POST /mcp-connect/time HTTP/1.1\r\nHost: gateway.test:8765\r\nAuthorization: Bearer {world.token()}\r\n"
        "Content-Type: application/json\r\nMcp-Name: a\r\nmcp-name: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    reply = world.raw(head.encode())
    assert reply.startswith(b"HTTP/1.1 400")
    assert b"-32020" in reply


@rule(80, 81)
def test_policy_is_decided_on_the_body_whatever_the_headers_say(world: World) -> None:
    before = world.audited()
    lying = {"MCP-Protocol-Version": "2025-11-25", "Mcp-Method": "ping", "Mcp-Name": "buy"}
    reply = world.call(
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "sell"}}, "shop", headers=lying
    )
    assert reply.json()["error"]["code"] == -32602
    assert world.upstream.requests == []
    good = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "buy"}}
    assert world.call(good, "shop", headers={**lying, "Mcp-Name": "sell"}).status == 200
    # Nobody behind the edge may be misled by headers that this version doesn't bind to the body.
    assert world.upstream.requests[0].get("mcp-name") is None
    record = world.audit(2, since=before)[-1]
    assert (record["method"], record["tool"]) == ("tools/call", "buy")


@rule(82)
def test_parameter_headers_pass_and_names_in_base64_match(world: World) -> None:
    name = "kaufe Größe"
    encoded = "=?base64?" + base64.b64encode(name.encode()).decode() + "?="
    headers = {"mcp-protocol-version": MODERN, "MCP-METHOD": "tools/call", "mCp-NaMe": encoded}
    reply = world.call(modern("tools/call", {"name": name}), headers={**headers, "Mcp-Param-Region": "eu, west=1"})
    assert reply.status == 200
    seen = world.upstream.requests[0]
    assert seen.get("mcp-param-region") == "eu, west=1"
    assert seen.get("mcp-name") == encoded
    assert seen.get("mcp-method") == "tools/call"
    for bad in ("=?base64?S2F1Zg?=", "=?base64?****?=", "=?base64?/w==?="):
        reply = world.call(modern("tools/call", {"name": name}), headers={**headers, "mCp-NaMe": bad})
        assert reply.json()["error"]["code"] == -32020


@rule(79)
@pytest.mark.parametrize("version", ["1900-01-01", "2026-07-29", "latest", "2025-11-25, 2026-07-28"])
def test_an_unknown_version_is_told_the_known_ones(world: World, version: str) -> None:
    reply = world.call({"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"MCP-Protocol-Version": version})
    assert reply.status == 400
    assert reply.json()["error"]["code"] == -32022
    assert {"2025-11-25", MODERN} <= set(reply.json()["error"]["data"]["supported"])
    assert world.upstream.requests == []


@rule(79)
@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25", None])
def test_a_known_version_reaches_the_server_unchanged(world: World, version: str | None) -> None:
    headers = {"MCP-Protocol-Version": version} if version else {}
    assert world.call({"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers).status == 200
    assert world.upstream.requests[0].get("mcp-protocol-version") == version


@rule(78)
def test_a_notification_is_answered_202_without_a_body(world: World) -> None:
    reply = world.call({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (reply.status, reply.body) == (202, b"")


def test_a_clients_answer_to_a_server_passes(world: World) -> None:
    assert world.call({"jsonrpc": "2.0", "id": 5, "result": {"method": "x"}}).status == 202
    assert world.call({"jsonrpc": "2.0", "id": 5, "error": {"code": 1, "message": "m"}}).status == 202


@rule(91)
@pytest.mark.parametrize(("status", "code"), [(400, -32602), (404, -32601)])
def test_a_servers_error_passes_with_status_and_body(world: World, status: int, code: int) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "as it is"}}).encode()
    world.upstream.behaviour = lambda handler, seen: answer(handler, status, body)
    reply = world.call({"jsonrpc": "2.0", "id": 1, "method": "no/such"})
    assert (reply.status, reply.body) == (status, body)


@rule(92)
def test_discovery_passes_with_a_token_only(world: World) -> None:
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "server/discover"}
    assert world.call(modern("server/discover"), headers=headers).status == 200
    body = json.dumps(modern("server/discover")).encode()
    reply = world.request("POST", "/mcp-connect/time", body, {**headers, "Content-Type": "application/json"})
    assert reply.status == 401


@rule(80)
@pytest.mark.parametrize("params", [{"name": "sell"}, {"name": "Buy"}, {"name": "buy "}, {"name": ""}, None])
def test_a_tool_that_is_not_allowed_is_not_called(world: World, params: dict[str, Any] | None) -> None:
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": "x", "method": "tools/call"}
    if params is not None:
        call["params"] = params
    reply = world.call(call, "shop")
    assert reply.json()["error"]["code"] == -32602
    assert reply.json()["id"] == "x"
    assert world.upstream.requests == []


TOOLS: list[dict[str, Any]] = [
    {"name": "buy", "inputSchema": {}},
    {"name": "sell", "inputSchema": {}},
    {"inputSchema": {}},
]


def listing(tools: list[dict[str, Any]]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools, "nextCursor": "c"}}).encode()


LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def test_a_list_of_tools_in_json_shows_the_allowed_ones(world: World) -> None:
    world.upstream.behaviour = lambda handler, seen: answer(handler, 200, listing(TOOLS))
    assert world.call(LIST, "shop").json()["result"] == {"tools": TOOLS[:1], "nextCursor": "c"}
    assert world.call(LIST, "time").json()["result"]["tools"] == TOOLS


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_list_of_tools_in_events_shows_the_allowed_ones(world: World, end: bytes, step: int) -> None:
    message = listing(TOOLS)
    half = message.index(b'"tools"')
    lines = [
        b": keep",
        b"",
        b"id: 4",
        b"data:",
        b"",
        b"id: 5",
        b"data: " + message[:half],
        b"data:" + message[half:],
        b"",
        b"",
    ]
    text = end.join(lines)

    def stream(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        handler.send_response_only(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(text), step):
            part = text[start : start + step]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    world.upstream.behaviour = stream
    for reply in (world.call(LIST, "shop"), world.call(None, "shop", method="GET")):
        assert reply.status == 200
        assert b"sell" not in reply.body
        assert b": keep" in reply.body
        assert b"id: 5" in reply.body
        data = [line[6:] for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
        assert json.loads(data[-1])["result"]["tools"] == TOOLS[:1]


def test_a_list_that_cannot_be_read_does_not_pass(world: World) -> None:
    for headers, body in (
        ({"Content-Type": "text/plain"}, listing(TOOLS)),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, listing(TOOLS)),
    ):
        world.upstream.behaviour = lambda handler, seen, b=body, h=headers: answer(handler, 200, b, h)  # type: ignore[misc]
        assert world.call(LIST, "shop").status == 502


@pytest.mark.parametrize(
    "body",
    [
        b'{"result":{"tools":[{"name":["buy"]}]}}',
        b'{"result":{"tools":[],"x":' + b"[" * 300 + b"]" * 300 + b"}}",
        b"[" * 900 + b"]" * 900,
    ],
    ids=["a name that is no text", "too deep to be written", "too deep to be walked"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_list_that_cannot_be_filtered_ends_the_answer_at_once(world: World, body: bytes, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    text = b"data: " + body + b"\n\n" if stream else body
    world.upstream.behaviour = lambda handler, seen: answer(handler, 200, text, {"Content-Type": kind})
    with pytest.raises((HTTPException, ConnectionError)):
        world.call(LIST, "shop")
