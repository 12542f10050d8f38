"""Start, limits, and end of a runner and its children."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from mcp_runner.child import Child

from tests.runner.running import CHILDREN, ROOT, SCRIPTED, Client, alive, call, request, running, text, until


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_ready_only_once_the_child_has_answered(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = ["/bin/sh", "-c", f'read x < {gate}; exec "$@"', "sh", *SCRIPTED]
    port = 20_000 + os.getpid() % 10_000
    path = tmp_path / "runner.json"
    path.write_text(json.dumps({"version": 1, "command": slow, "cwd": "/tmp"}))
    environment = {"PYTHONPATH": f"{ROOT}/images/wire:{ROOT}/images/runner"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mcp_runner", "--config", str(path), "--listen", f"127.0.0.1:{port}"], env=environment
    )
    url = f"http://127.0.0.1:{port}/healthz"

    def status() -> int:
        try:
            return int(urllib.request.urlopen(url, timeout=2).status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    try:
        await until(lambda: status() == 503)
        await asyncio.to_thread(gate.write_text, "go\n")
        await until(lambda: status() == 200)
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/no/such/program"], "can't be started"),
        (["/bin/false"], "can't be hosted"),
        ([*SCRIPTED, "--silent"], "didn't answer within 1 s"),
    ],
)
async def test_a_server_that_does_not_start_ends_the_runner(tmp_path: Path, command: list[str], why: str) -> None:
    with running(tmp_path, command, wait=False, startupSeconds=1) as runner:
        assert await asyncio.to_thread(runner.process.wait, 15) == 1
        runner.wait_for_log(why)


async def test_the_first_session_gets_the_child_that_is_there(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED) as runner:
        (waiting,) = runner.children()
        client = Client(http, runner.url)
        await client.initialize()
        assert await client.call("pid") == str(waiting)


async def test_a_server_that_refuses_a_second_initialize_is_started_afresh(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with running(tmp_path, [*SCRIPTED, "--no-second"]) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        assert await client.call("echo", text="fine") == "fine"


async def test_the_childs_environment_is_what_the_configuration_says_and_nothing_else(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"TOKEN": "hush-hush"}))
    with running(tmp_path, SCRIPTED, env={"LEVEL": "info"}, secretEnvFile=str(secrets)) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        seen = json.loads(await client.call("environment"))
        assert set(seen["env"]) - {"LC_CTYPE"} == {"PATH", "HOME", "TMPDIR", "LANG", "LEVEL", "TOKEN"}
        assert seen["env"]["TOKEN"] == "hush-hush"
        assert seen["cwd"] == str(tmp_path)
        assert b"hush-hush" not in Path(f"/proc/{runner.process.pid}/environ").read_bytes()
        assert "hush-hush" not in json.dumps(runner.log)


async def test_the_cap_on_sessions(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED, maxSessions=2) as runner:
        clients = [Client(http, runner.url) for _ in range(2)]
        for client in clients:
            await client.initialize()
        status, messages = await Client(http, runner.url).post(
            request("initialize", {"protocolVersion": "2025-11-25"}, 5)
        )
        assert status == 503
        assert messages[0]["id"] == 5
        assert "2 sessions" in messages[0]["error"]["message"]
        assert (await Client(http, runner.url).modern("echo", text="x"))[0] == 503
        await http.delete(clients[0].url + "/mcp", headers=clients[0].headers)
        await Client(http, runner.url).initialize()


async def test_idle_sessions_end(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED, sessionIdleSeconds=0.6) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        pid = int(await client.call("pid"))
        busy, _ = await asyncio.gather(client.call("sleep", seconds=1.2), client.modern("echo", text="x"))
        assert busy == "done"
        await until(lambda: not alive(pid))
        assert (await client.post(call("echo", 1, text="x")))[0] == 404
        await until(lambda: runner.children() == [])


async def test_requests_beyond_the_limit_are_refused(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED, requestBytes=10_000) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        assert (await client.post(call("echo", 1, text="x" * 9000)))[0] == 200
        assert (await client.post(call("echo", 1, text="x" * 11_000)))[0] == 413


async def test_sigterm_lets_answers_end_and_then_the_children(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        children = runner.children()
        async with client.stream() as stream:
            under_way = asyncio.create_task(client.call("sleep", seconds=1))
            await asyncio.sleep(0.3)
            runner.process.send_signal(signal.SIGTERM)
            assert [each async for each in stream] == []
            assert await under_way == "done"
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.post(request("ping"))
        assert await asyncio.to_thread(runner.process.wait, 10) == 0
        assert not any(alive(pid) for pid in children)


async def test_sigterm_does_not_wait_for_ever(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    stubborn = ["/bin/sh", "-c", 'trap "" TERM; "$@"; sleep 60', "sh", *SCRIPTED]
    with running(tmp_path, stubborn) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        endless = asyncio.create_task(client.call("sleep", seconds=60))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        runner.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(runner.process.wait, 20) == 0
        assert time.monotonic() - began < 14
        with pytest.raises(aiohttp.ClientError):
            await endless


async def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        orphan = int(await client.call("orphan"))
        assert alive(orphan)
        os.kill(int(await client.call("pid")), signal.SIGKILL)
        await until(lambda: not alive(orphan))
        status, _ = await client.post(request("ping"))
        assert status == 404


async def test_pid_1_reaps_orphans(tmp_path: Path) -> None:
    """In a PID namespace of its own, as in a container: no zombie stays."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this machine doesn't let a test make a PID namespace")
    orphaning = ["/bin/sh", "-c", '(setsid sh -c "sleep 0.2" &) ; exec "$@"', "sh", *SCRIPTED]
    path = tmp_path / "runner.json"
    path.write_text(json.dumps({"version": 1, "command": orphaning, "cwd": "/tmp"}))
    environment = {"PYTHONPATH": f"{ROOT}/images/wire:{ROOT}/images/runner", "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        *unshare,
        sys.executable,
        str(CHILDREN / "zombies.py"),
        str(path),
        str(tmp_path / "states"),
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    await asyncio.wait_for(process.wait(), 20)
    states = (tmp_path / "states").read_text().split()
    assert len(states) >= 2
    assert "Z" not in states


async def test_a_shared_child_serves_every_session_and_mixes_none(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED, session="shared") as runner:
        one, two = Client(http, runner.url), Client(http, runner.url)
        await one.initialize()
        await two.initialize()
        pids = {await one.call("pid"), await two.call("pid"), text((await one.modern("pid"))[1][0])}
        assert len(pids) == 1
        same_id = await asyncio.gather(
            *(c.post(call("echo", 1, text=t)) for c, t in ((one, "1"), (two, "2")) for _ in range(20))
        )
        assert [text(messages[0]) for _, messages in same_id] == ["1"] * 20 + ["2"] * 20
        async with one.stream() as first, two.stream() as second:
            await one.call("change")
            assert (
                (await anext(first))["method"] == (await anext(second))["method"] == "notifications/tools/list_changed"
            )
            _, messages = await two.post(call("log", 1))
            assert messages[0]["method"] == "notifications/message"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(first), 0.2)
        sleeping = asyncio.create_task(one.post(call("sleep", 1, seconds=0.5)))
        await asyncio.sleep(0.1)
        _, messages = await two.post(call("sample", 2))
        assert json.loads(text(messages[-1]))["error"]["code"] == -32601
        await sleeping
        await http.delete(one.url + "/mcp", headers=one.headers)
        assert await two.call("echo", text="on") == "on"


async def test_a_shared_child_that_dies_is_started_again(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED, session="shared") as runner:
        client = Client(http, runner.url)
        await client.initialize()
        _, messages = await client.post(call("die", 1))
        assert messages[0]["error"]["code"] == -32000
        assert (await http.get(runner.url + "/healthz")).status == 503
        assert (await client.post(request("ping")))[0] == 404
        deadline = time.monotonic() + 10
        while (await http.get(runner.url + "/healthz")).status != 200:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        again = Client(http, runner.url)
        await again.initialize()
        assert await again.call("echo", text="back") == "back"


async def test_no_user_can_take_every_place(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with running(tmp_path, SCRIPTED, maxSessions=3) as runner:
        alices = [Client(http, runner.url, {"X-Mcp-User": "alice"}) for _ in range(3)]
        for client in alices:
            await client.initialize()
        await alices[0].call("echo", text="used")
        bob = Client(http, runner.url, {"X-Mcp-User": "bob"})
        await bob.initialize()
        assert [(await client.post(request("ping")))[0] for client in alices] == [200, 404, 200]
        another = Client(http, runner.url, {"X-Mcp-User": "alice"})
        assert (await another.post(request("initialize", {"protocolVersion": "2025-11-25"})))[0] == 503
        assert await bob.call("echo", text="still here") == "still here"


async def test_writing_to_a_child_that_closed_its_input_is_no_error_of_the_runners() -> None:
    child = Child("closed input")
    seen: list[bytes] = []
    child.on_line = seen.append
    await child.start(("/bin/sh", "-c", "exec <&-; echo closed; exec sleep 30"), {"PATH": "/usr/bin:/bin"}, "/")
    try:
        while not seen:
            await asyncio.sleep(0.01)
        for _ in range(20):
            child.write(b"{}")
            await asyncio.sleep(0.01)
        assert child.alive
    finally:
        child.kill("the test is over")
        while child.alive:
            await asyncio.sleep(0.01)
