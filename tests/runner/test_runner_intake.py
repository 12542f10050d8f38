"""A configuration that comes on standard input, as for a user's instance."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.runner.running import ROOT, SCRIPTED, Client, Runner

SECRET = "hush-hush-7c1f"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def start(folder: Path, umask: int = 0o022) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mcp_runner", "--config", "-", "--listen", "127.0.0.1:0"]
    environment = {"PYTHONPATH": f"{ROOT}/images/wire:{ROOT}/images/runner", "PATH": os.environ["PATH"]}
    return subprocess.Popen(
        [*command, "--files", str(folder / "run" / "files")],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        umask=umask,
    )


@contextmanager
def fed(folder: Path, *, umask: int = 0o022, **settings: Any) -> Iterator[Runner]:
    """A runner that got its document and the end of it."""
    process = start(folder, umask)
    runner = Runner(process)
    assert process.stdin is not None
    document = {"version": 1, "command": SCRIPTED, "cwd": str(folder), **settings}
    process.stdin.write(json.dumps(document).encode())
    process.stdin.close()
    try:
        runner.wait()
        yield runner
    finally:
        process.terminate()
        process.wait(20)


def refused(folder: Path, content: bytes) -> list[str]:
    """What a runner says that ends at once with this on its standard input."""
    process = start(folder)
    said, _ = process.communicate(content, timeout=30)
    assert process.returncode == 2
    return [json.loads(line)["text"] for line in said.splitlines()]


def document(**settings: Any) -> bytes:
    return json.dumps({"version": 1, "command": SCRIPTED, **settings}).encode()


async def test_the_child_gets_values_and_files_and_nobody_else_does(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    files = tmp_path / "run" / "files"
    texts = {"CREDS": f'{{"key": "{SECRET}"}}\n', "a name.json": "ü"}
    env = {"CREDS_PATH": str(files / "CREDS")}
    with fed(tmp_path, umask=0, env=env, secretEnv={"TOKEN": SECRET}, files=texts) as runner:
        client = Client(http, runner.url)
        await client.initialize()
        seen = json.loads(await client.call("environment"))["env"]
        assert (seen["TOKEN"], seen["CREDS_PATH"]) == (SECRET, str(files / "CREDS"))
        assert {path.name: path.read_text() for path in files.iterdir()} == texts
        assert {oct(path.stat().st_mode & 0o7777) for path in files.iterdir()} == {"0o600"}
        assert oct(files.stat().st_mode & 0o7777) == "0o700"
        for place in ("cmdline", "environ"):
            assert SECRET.encode() not in Path(f"/proc/{runner.process.pid}/{place}").read_bytes()
        assert SECRET not in json.dumps(runner.log)


@pytest.mark.parametrize("session", ["own", "shared"])
async def test_standard_input_is_gone_afterwards(tmp_path: Path, session: str, http: aiohttp.ClientSession) -> None:
    with fed(tmp_path, session=session) as runner:
        pipe = os.readlink(f"/proc/{runner.process.pid}/fd/0")
        assert pipe == "/dev/null"
        client = Client(http, runner.url)
        await client.initialize()
        child = int(await client.call("pid"))
        own = {os.readlink(f"/proc/{runner.process.pid}/fd/{n}") for n in os.listdir(f"/proc/{runner.process.pid}/fd")}
        assert os.readlink(f"/proc/{child}/fd/0").startswith("pipe:")
        assert os.readlink(f"/proc/{child}/fd/0") in own, "the child reads what the runner writes and nothing else"


async def test_the_document_may_come_in_pieces_and_ends_with_its_input(tmp_path: Path) -> None:
    process = start(tmp_path)
    runner = Runner(process)
    assert process.stdin is not None
    whole = document(cwd=str(tmp_path), files={"LONG": "x" * 200_000})
    try:
        for at in range(0, len(whole), 50_000):
            process.stdin.write(whole[at : at + 50_000])
            process.stdin.flush()
            await asyncio.sleep(0.05)
        assert runner.log == []
        process.stdin.close()
        await asyncio.to_thread(runner.wait)
    finally:
        process.terminate()
        process.wait(20)


def test_an_input_that_ends_empty_is_said_plainly(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, b"")
    assert "standard input: it ended without a document" in said


@pytest.mark.parametrize(
    "content",
    [document(secretEnv={"T": SECRET})[:-9], b"[" * 200_000, b"\xff\xfe", json.dumps([SECRET]).encode()],
    ids=["cut short", "deep", "not text", "a list"],
)
def test_what_is_no_document_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    (said,) = refused(tmp_path, content)
    assert said.startswith("standard input: ")
    assert SECRET not in said


def test_the_limit_of_the_document(tmp_path: Path) -> None:
    process = start(tmp_path)
    said, _ = process.communicate(document(env={"A": "x" * 1_048_576}), timeout=30)
    assert process.returncode == 2
    assert "longer than 1048576 bytes" in json.loads(said)["text"]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"secretEnv": {"T": [SECRET]}}, "secretEnv"),
        ({"secretEnv": SECRET}, "secretEnv"),
        ({"secretEnv": {"T": SECRET + "\0"}}, "secretEnv"),
        ({"secretEnv": {"T": SECRET + "\ud800"}}, "secretEnv"),
        ({"secretEnv": {"T=": SECRET}}, "env"),
        ({"env": {"T": [SECRET]}}, "env"),
        ({"command": [SECRET, "\0"]}, "command"),
        ({"command": ["x", SECRET + "\udfff"]}, "command"),
        ({"session": SECRET}, "session"),
        ({"version": SECRET}, "version"),
        ({"cwd": [SECRET]}, "cwd"),
        ({"maxSessions": SECRET}, "maxSessions"),
        ({"secretEnvFile": "/x"}, "secretEnvFile"),
        ({"files": {"T": [SECRET]}}, "files"),
        ({"files": [SECRET]}, "files"),
        *(({"files": {name: SECRET}}, "files") for name in ("", ".", "..", "../x", "a/b", "/etc/x", "a\0", "x" * 256)),
    ],
)
def test_a_problem_names_its_field_and_no_value(tmp_path: Path, settings: dict[str, Any], field: str) -> None:
    said = refused(tmp_path, document(**settings))
    assert [line.partition(":")[0] for line in said] == [field]
    assert SECRET not in "".join(said)
    assert not (tmp_path / "run").exists(), "nothing is written for a document that is wrong"


def test_every_problem_at_once(tmp_path: Path) -> None:
    said = refused(tmp_path, document(secretEnv=1, files=1, secretEnvFile=1, session="x", surprise=1))
    assert [line.partition(":")[0] for line in said] == ["files", "secretEnv", "secretEnvFile", "session", "surprise"]


def test_a_file_or_a_link_that_is_there_already_is_not_written_through(tmp_path: Path) -> None:
    files = tmp_path / "run" / "files"
    files.mkdir(parents=True)
    (files / "A").symlink_to(tmp_path / "elsewhere")
    (said,) = refused(tmp_path, document(files={"A": SECRET}))
    assert said.startswith("files: 'A' can't be written")
    assert not (tmp_path / "elsewhere").exists()
    (files / "A").unlink()
    files.rmdir()
    files.symlink_to(tmp_path)
    (said,) = refused(tmp_path, document(files={"A": SECRET}))
    assert said.startswith("files: ")
    assert not (tmp_path / "A").exists()


def test_a_document_in_a_file_holds_no_secrets(tmp_path: Path) -> None:
    path = tmp_path / "runner.json"
    path.write_bytes(document(secretEnv={"T": SECRET}, files={"F": SECRET}))
    done = subprocess.run(
        [sys.executable, "-m", "mcp_runner", "--config", str(path)],
        env={"PYTHONPATH": f"{ROOT}/images/wire:{ROOT}/images/runner"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert [json.loads(line)["text"].partition(":")[0] for line in done.stdout.splitlines()] == ["files", "secretEnv"]
