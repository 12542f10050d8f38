"""A session of the legacy era (to 2025-11-25), each with a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.runner.running import BOTH, LEGACY, SCRIPTED, Client, Runner, call, request, running, text, until


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(tmp_path_factory.mktemp("legacy"), SCRIPTED) as started:
        yield started


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
async def client(http: aiohttp.ClientSession, runner: Runner) -> AsyncIterator[Client]:
    client = Client(http, runner.url)
    await client.initialize()
    yield client
    await http.delete(client.url + "/mcp", headers=client.headers)


async def test_the_client_gets_the_servers_own_answer_and_its_ids_back(client: Client) -> None:
    for id in (7, "seven", -1, 0, 2**53):
        status, messages = await client.post(call("echo", id, text="ü\u2028\n\\"))
        assert status == 200
        assert messages[0]["id"] == id
        assert text(messages[0]) == "ü\u2028\n\\"
    _, messages = await client.post(request("no/such"))
    assert messages[0]["error"]["code"] == -32601
    _, messages = await client.post(request("ping"))
    assert messages[0]["result"] == {}


async def test_rule_86_session_ids_are_unguessable_and_visible_ascii(client: Client) -> None:
    id = client.headers["Mcp-Session-Id"]
    assert len(id) >= 32
    assert all(0x21 <= ord(letter) <= 0x7E for letter in id)


async def test_rule_86_missing_unknown_and_ended_sessions(http: aiohttp.ClientSession, runner: Runner) -> None:
    client = Client(http, runner.url)
    assert (await client.post(call("echo", 1, text="x")))[0] == 400
    status, messages = await client.post(call("echo", 1, text="x"), {"Mcp-Session-Id": "guess"})
    assert status == 404
    assert messages[0]["id"] == 1
    await client.initialize()
    assert (await http.delete(client.url + "/mcp", headers=client.headers)).status == 200
    assert (await client.post(call("echo", 1, text="x")))[0] == 404
    assert (await http.get(client.url + "/mcp", headers=client.headers)).status == 404


async def test_rule_87_a_session_answers_only_the_user_who_opened_it(
    http: aiohttp.ClientSession, runner: Runner
) -> None:
    alice = Client(http, runner.url, {"X-Mcp-User": "alice", "X-Mcp-Client": "one"})
    await alice.initialize()
    for other in ({"X-Mcp-User": "bob"}, {"X-Mcp-Client": "two"}):
        assert (await alice.post(call("echo", 1, text="x"), other))[0] == 404
        assert (await http.delete(alice.url + "/mcp", headers={**alice.headers, **other})).status == 404
    assert await alice.call("echo", text="mine") == "mine"


async def test_each_session_has_a_process_of_its_own(http: aiohttp.ClientSession, runner: Runner) -> None:
    clients = [Client(http, runner.url) for _ in range(3)]
    await asyncio.gather(*(client.initialize() for client in clients))
    assert len({await client.call("pid") for client in clients}) == 3
    assert [await client.call("count") for client in clients] == ["1", "1", "1"]
    for client in clients:
        await http.delete(client.url + "/mcp", headers=client.headers)


async def test_rule_78_notifications_and_responses_are_accepted_without_a_body(client: Client) -> None:
    assert await client.post({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}) == (202, [])
    assert await client.post({"jsonrpc": "2.0", "id": "never asked", "result": {}}) == (202, [])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","x":NaN}', -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}', -32700),
    ],
)
async def test_bodies_that_are_not_one_message(client: Client, body: bytes, code: int) -> None:
    headers = {**client.headers, "Content-Type": "application/json"}
    async with client.http.post(client.url + "/mcp", data=body, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == code


async def test_runner_and_server_read_a_repeated_key_alike(client: Client) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping","method":"tools/list"}'
    headers = {**client.headers, "Content-Type": "application/json"}
    async with client.http.post(client.url + "/mcp", data=body, headers=headers) as answer:
        message = await answer.json()
        assert message["id"] == 2
        assert "tools" in message["result"]


async def test_a_body_over_several_lines_is_one_message(client: Client) -> None:
    body = json.dumps(call("echo", 5, text="one"), indent=2).replace("\n", "\r\n").encode()
    headers = {**client.headers, "Content-Type": "application/json; charset=utf-8"}
    async with client.http.post(client.url + "/mcp", data=body, headers=headers) as answer:
        assert text(await answer.json()) == "one"


async def test_headers_that_are_refused(client: Client) -> None:
    message = request("ping")
    assert (await client.post(message, {"Accept": "text/html"}))[0] == 406
    assert (await client.post(message, {"Accept": "*/*"}))[0] == 200
    assert (await client.post(message, {"Content-Type": "text/plain"}))[0] == 415
    status, messages = await client.post(message, {"MCP-Protocol-Version": "1900-01-01"})
    assert status == 400
    assert messages[0]["error"]["code"] == -32022
    assert LEGACY in messages[0]["error"]["data"]["supported"]
    headers = {name: value for name, value in client.headers.items() if name != "MCP-Protocol-Version"}
    async with client.http.post(client.url + "/mcp", json=message, headers=headers) as answer:
        assert answer.status == 200  # absent: an older client
    get = {**client.headers, "Accept": "application/json"}
    assert (await client.http.get(client.url + "/mcp", headers=get)).status == 406
    assert (await client.http.put(client.url + "/mcp", headers=client.headers)).status == 405
    assert (await client.http.get(client.url + "/other")).status == 404


async def test_progress_comes_on_the_requests_own_stream_with_its_own_token(client: Client) -> None:
    def with_token(token: object, id: int) -> dict[str, Any]:
        message = call("progress", id, steps=3)
        message["params"]["_meta"] = {"progressToken": token}
        return message

    one, two = await asyncio.gather(client.post(with_token("a", 1)), client.post(with_token(2, 2)))
    for (status, messages), token, id in ((one, "a", 1), (two, 2, 2)):
        assert status == 200
        assert [m["params"]["progressToken"] for m in messages[:-1]] == [token] * 3
        assert messages[-1]["id"] == id


async def test_progress_is_sent_while_the_tool_runs(client: Client) -> None:
    message = call("progress", 1, steps=60)
    message["params"]["_meta"] = {"progressToken": 1}
    async with client.stream(message) as stream:
        first = await anext(stream)
        assert first["params"]["progress"] == 0
        began = asyncio.get_running_loop().time()
        rest = [each async for each in stream]
        assert asyncio.get_running_loop().time() - began > 0.3
        assert len(rest) == 60


async def test_the_server_asks_the_client_and_gets_its_answer(client: Client) -> None:
    async with client.stream(call("sample", "q", prompt="hi")) as stream:
        asked = await anext(stream)
        assert asked["method"] == "sampling/createMessage"
        assert asked["params"] == {"prompt": "hi"}
        assert await client.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"said": "ho"}}) == (202, [])
        assert json.loads(text(await anext(stream)))["result"] == {"said": "ho"}


async def test_another_session_cannot_answer_in_a_clients_place(
    client: Client, http: aiohttp.ClientSession, runner: Runner
) -> None:
    eve = Client(http, runner.url)
    await eve.initialize()
    async with client.stream(call("sample", "q")) as stream:
        asked = await anext(stream)
        await eve.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"said": "evil"}})
        await client.post({"jsonrpc": "2.0", "id": asked["id"], "result": {"said": "good"}})
        assert json.loads(text(await anext(stream)))["result"] == {"said": "good"}


async def test_rule_85_a_message_goes_to_one_stream_only(client: Client) -> None:
    async with client.stream() as stream:
        second = await client.http.get(client.url + "/mcp", headers=client.headers)
        assert second.status == 409
        _, messages = await client.post(call("change", 1))
        assert [m.get("id") for m in messages] == [1]
        assert (await anext(stream))["method"] == "notifications/tools/list_changed"
        _, messages = await client.post(call("log", 2))
        assert [m.get("method") for m in messages] == ["notifications/message", None]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.2)


async def test_what_comes_while_no_stream_is_open_waits_for_one(client: Client) -> None:
    await client.call("change")
    async with client.stream() as stream:
        assert (await anext(stream))["method"] == "notifications/tools/list_changed"


async def test_cancellation_reaches_the_server_for_a_clients_own_request_only(
    client: Client, http: aiohttp.ClientSession, runner: Runner, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    waiting = asyncio.create_task(client.post(call("until cancelled", "c-1", mark=str(mark))))
    await asyncio.sleep(0.2)
    eve = Client(http, runner.url)
    await eve.initialize()
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c-1"}}
    await eve.post(cancel)
    await asyncio.sleep(0.2)
    assert not mark.exists()
    await client.post(cancel)
    await asyncio.wait_for(waiting, 5)
    assert mark.read_text() == "True"


async def test_a_disconnect_is_not_a_cancellation(client: Client, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.post(call("sleep", 1, seconds=0.4)), 0.1)
    assert await client.call("echo", text="still here") == "still here"


async def test_what_a_server_prints_goes_to_the_log_and_not_to_the_client(client: Client, runner: Runner) -> None:
    await client.call("print", text="said to stderr " + "y" * 20_000)
    runner.wait_for_log("this is not JSON")
    entry = runner.wait_for_log("said to stderr")
    assert len(entry["text"]) == 8192
    assert entry["level"] == "info"
    assert entry["session"]
    assert entry["session"] not in client.headers["Mcp-Session-Id"]


async def test_a_large_answer_passes_and_a_line_without_end_ends_the_child(client: Client) -> None:
    assert len(await client.call("flood", bytes=8_000_000)) == 8_000_000
    _, messages = await client.post(call("flood", 1, bytes=17_000_000))
    assert messages[0]["error"]["code"] == -32000
    assert "16777216" in messages[0]["error"]["message"]


async def test_a_dying_child_ends_its_session_with_an_error(
    client: Client, http: aiohttp.ClientSession, runner: Runner
) -> None:
    other = Client(http, runner.url)
    await other.initialize()
    async with client.stream() as stream:
        sleeping = asyncio.create_task(client.post(call("sleep", "s", seconds=9)))
        await asyncio.sleep(0.1)
        status, messages = await client.post(call("die", "d"))
        assert status == 200
        assert messages[0]["id"] == "d"
        assert messages[0]["error"]["code"] == -32000
        assert "exit code 3" in messages[0]["error"]["message"]
        assert (await asyncio.wait_for(sleeping, 6))[1][0]["id"] == "s"
        assert [each async for each in stream] == []
    assert (await client.post(call("echo", 1, text="x")))[0] == 404
    assert await other.call("echo", text="alive") == "alive"


async def test_a_client_that_reads_slowly_holds_up_its_own_child_and_nobody_else(
    client: Client, http: aiohttp.ClientSession, runner: Runner
) -> None:
    port = int(runner.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    body = json.dumps(call("flood", 1, bytes=12_000_000)).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers.items())
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: a\r\n{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    other = Client(http, runner.url)
    await other.initialize()
    assert await asyncio.wait_for(other.call("echo", text="quick"), 10) == "quick"
    writer.close()
    assert await client.call("echo", text="after") == "after"


async def test_64_sessions_at_once_each_get_their_own_answers(http: aiohttp.ClientSession, runner: Runner) -> None:
    clients = [Client(http, runner.url) for _ in range(64)]
    await asyncio.gather(*(client.initialize() for client in clients))

    async def work(client: Client, name: int) -> None:
        for turn in range(5):
            assert await client.call("echo", text=f"{name}-{turn}") == f"{name}-{turn}"

    await asyncio.gather(*(work(client, name) for name, client in enumerate(clients)))
    await asyncio.gather(*(http.delete(each.url + "/mcp", headers=each.headers) for each in clients))
    await until(lambda: len(runner.children()) < 32, 40)


async def test_no_header_of_a_plain_answer_is_more_than_it_needs(client: Client) -> None:
    await client.post(request("ping"))
    assert {name.lower() for name in client.last.headers} == {"content-type", "content-length", "date"}
    assert BOTH["Accept"].startswith(client.last.content_type)


async def test_a_large_answer_after_progress_comes_whole(client: Client) -> None:
    message = call("progress then flood", 1, steps=2, bytes=9_000_000)
    message["params"]["_meta"] = {"progressToken": 1}
    _, messages = await client.post(message)
    assert len(messages) == 3
    assert len(text(messages[-1])) == 9_000_000
    # The answer has left with its connection's buffer full: the child must be read on all the same.
    assert await asyncio.wait_for(client.call("echo", text="after"), 10) == "after"
