"""Someone who is signed in tries to get at what is somebody else's."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import tarfile
from typing import Any

import httpx
import pytest

from tests.e2e.deployed import PORT, Deployed
from tests.e2e.sign_in import Person
from tests.e2e.single_user.instances import Answer, Caller, name_of, read, subject
from tests.e2e.single_user.people import Callers, Secrets
from tests.e2e.single_user.portal_pages import PORTAL, form_token, opened, page_url
from tests.gateway.rules import rule

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]

SERVER = "fixture-personal"
BOTH = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def victim(alice: Person, given: Secrets, callers: Callers) -> Caller:
    caller = await callers.of(alice, SERVER)
    await caller.tell("whoami_instance")
    return caller


@pytest.fixture
async def attacker(bob: Person, given: Secrets, callers: Callers) -> Caller:
    caller = await callers.of(bob, SERVER)
    await caller.tell("whoami_instance")
    return caller


class Session:
    """A legacy session: its id, and requests that name it with whatever token."""

    def __init__(self, http: httpx.AsyncClient, url: str, id: str) -> None:
        self._http, self._url, self.id = http, url, id

    @classmethod
    async def open(cls, http: httpx.AsyncClient, caller: Caller) -> Session:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        answer = await http.post(
            caller.url,
            json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params},
            headers={**BOTH, "Authorization": f"Bearer {caller.token}"},
            timeout=75,
        )
        assert answer.status_code == 200, answer.text
        session = cls(http, caller.url, answer.headers["mcp-session-id"])
        await session.send("POST", caller.token, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        return session

    async def send(
        self, method: str, token: str, message: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        return await self._http.request(
            method,
            self._url,
            json=message,
            headers={
                **BOTH,
                "Authorization": f"Bearer {token}",
                "Mcp-Session-Id": self.id,
                "MCP-Protocol-Version": "2025-11-25",
                **headers,
            },
            timeout=75,
        )

    async def call(self, token: str, tool: str) -> Answer:
        params = {"name": tool, "arguments": {}}
        return read(
            await self.send("POST", token, {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
        )


@rule(87, 89)
async def test_another_users_session_is_not_there(victim: Caller, attacker: Caller, http: httpx.AsyncClient) -> None:
    session = await Session.open(http, victim)
    for method in ("POST", "GET", "DELETE"):
        message = {"jsonrpc": "2.0", "id": 1, "method": "ping"} if method == "POST" else None
        answer = await session.send(
            method, attacker.token, message, **({"Last-Event-ID": "1"} if method == "GET" else {})
        )
        assert answer.status_code == 404, method
    called = await session.call(victim.token, "whoami_instance")
    assert json.loads(called.text)["instance"] == await victim.identity(), "the session lives on"


@rule(93)
async def test_no_header_addresses_another_users_instance(victim: Caller, attacker: Caller) -> None:
    theirs, mine = subject(victim.token), await attacker.identity()
    name = name_of(SERVER, theirs)
    for header in (
        {"X-Mcp-User": theirs},
        {"x_mcp_user": theirs},
        {"X-Mcp-Subject": theirs},
        {"X-Mcp-Instance": name},
        {"X-Forwarded-User": theirs},
        {"X-Forwarded-Host": name},
        {"X-Forwarded-Uri": f"/mcp-connect/{name}"},
        {"X-Original-Url": f"/mcp-connect/{name}"},
        {"Forwarded": f"for=127.0.0.1;host={name}"},
        {"Remote-User": "alice"},
        {"X-Auth-Request-User": "alice"},
        {"Cookie": f"user={theirs}"},
        {"Connection": "x-mcp-user, authorization"},
    ):
        answer = await attacker.ask("whoami_instance", headers=header)
        assert answer.worked, (header, answer)
        assert json.loads(answer.text)["instance"] == mine, header
    sent = json.loads(await attacker.tell("whoami_headers"))
    assert [value for key, value in sent if key == "x-mcp-user"] == [subject(attacker.token)]
    assert not [key for key, _ in sent if key in {"authorization", "cookie"}]


@rule(20, 96)
async def test_no_path_addresses_another_users_instance(victim: Caller, attacker: Caller) -> None:
    theirs = subject(victim.token)
    name = name_of(SERVER, theirs)
    unknown = await at(attacker, "/mcp-connect/no-such-server").ask("whoami_instance")
    for path in (
        f"/mcp-connect/{name}",
        f"/mcp-connect/{SERVER}/{theirs}",
        f"/mcp-connect/{theirs}/{SERVER}",
        f"/mcp-connect/{SERVER}-u-{name[-12:]}",
        f"/mcp-connect/{SERVER}/u/{name[-12:]}",
        f"/mcp-connect/{SERVER}@{theirs}",
        f"/mcp-connect/{SERVER};{theirs}",
        f"/mcp-connect/{SERVER}%2f{theirs}",
        f"/mcp-connect/{SERVER}/../{name}",
    ):
        answer = await at(attacker, path).ask("whoami_instance")
        assert not answer.worked, path
        assert answer.status in {400, 401, 404}, (path, answer)
    assert unknown.status in {401, 404}
    for query in (f"?subject={theirs}", "?user=alice", f"?sub={theirs}&server={SERVER}"):
        answer = await at(attacker, f"/mcp-connect/{SERVER}{query}").ask("whoami_instance")
        assert not answer.worked or json.loads(answer.text)["instance"] == await attacker.identity(), query


@rule(15, 20)
async def test_a_token_opens_the_server_that_it_is_for(
    deployed: Deployed, attacker: Caller, bob: Person, callers: Callers
) -> None:
    other = await callers.of(bob, "memory")
    for url, token in ((deployed.server("memory"), attacker.token), (attacker.url, other.token)):
        answer = await Caller(callers.http, url, token).ask("whoami_instance")
        assert answer.status == 401, (url, answer)


async def test_internal_paths_are_not_to_be_had(victim: Caller, attacker: Caller, http: httpx.AsyncClient) -> None:
    theirs = subject(victim.token)
    start = {"server": SERVER, "subject": theirs, "failed": None}
    for path in (
        "/internal/edge",
        "/internal/instances",
        "/internal/instances/start",
        "/internal/instances/active",
        "/instances",
        "/instances/start",
        f"/instances/log?server={SERVER}&subject={theirs}",
        f"/instances/data?server={SERVER}&subject={theirs}",
        "/Internal/instances",
        "//internal/instances",
        "/%69nternal/instances",
        "/internal%2finstances",
        "/static/../internal/instances",
        "/static/%2e%2e/internal/instances",
        f"/mcp-connect/{SERVER}/../../internal/instances",
    ):
        for method in ("GET", "POST", "DELETE"):
            answer = await http.request(
                method,
                path,
                headers={**BOTH, "Authorization": f"Bearer {attacker.token}"},
                json=start if method == "POST" else None,
            )
            assert answer.status_code in {400, 403, 404, 405, 421}, (method, path, answer.status_code)
            assert theirs not in answer.text
    assert (await victim.ask("whoami_instance")).worked


@rule(57)
async def test_consent_of_one_user_is_none_of_anothers(deployed: Deployed, alice: Person, bob: Person) -> None:
    """Bob with the very client that alice has allowed: he is asked himself."""
    url = deployed.server("memory")
    await alice.token(url)
    before = bob.storage.pop(url, None)
    try:
        bob.storage[url] = type(alice.storage[url])()
        bob.storage[url].client = alice.storage[url].client
        consents = bob.consents
        token = await bob.token(url)
        assert bob.consents == consents + 1
        assert subject(token) != subject(await alice.token(url))
    finally:
        if before is not None:
            bob.storage[url] = before


@rule(59, 68)
async def test_no_form_reaches_another_users_instance_values_or_data(
    alice: Person, bob: Person, given: Secrets, victim: Caller, attacker: Caller
) -> None:
    theirs, mine = subject(victim.token), subject(attacker.token)
    before = await victim.identity()
    stolen, own = await form_token(alice, SERVER), await form_token(bob, SERVER)
    named = {"subject": theirs, "user": "alice", "login": "alice", "server": SERVER}
    posts = {
        "values": {"value:FIXTURE_NICKNAME": "taken over", "remove:FIXTURE_KEY": "yes"},
        "stop": {},
        "restart": {},
        "delete": {"values": "yes"},
    }
    for action, fields in posts.items():
        url = f"{page_url(SERVER)}/{action}"
        for token in (stolen, "", own[:-2]):
            answer = await bob.context.request.post(url, form={**fields, **named, "form_token": token}, max_redirects=0)
            assert answer.status == 403, action
        unsigned = await attacker.http.post(url, data={**fields, **named, "form_token": stolen})
        assert unsigned.status_code == 403, action
    for action in ("stop", "restart"):
        url = f"{page_url(SERVER)}/{action}?subject={theirs}"
        answer = await bob.context.request.post(url, form={**named, "form_token": own}, max_redirects=0)
        assert answer.status == 303, "his own instance he may stop"
    assert await victim.identity() == before
    assert await victim.proves("file", "FIXTURE_KEY", given.personal["alice"]["FIXTURE_KEY"])
    for path, fields in (
        ("/admin/instances/stop", {"server": SERVER, "subject": theirs}),
        ("/admin/users/end-sessions", {"subject": theirs}),
        ("/admin/users/revoke", {"subject": theirs}),
        ("/admin/users/delete-data", {"server": SERVER, "subject": theirs}),
        ("/admin/clients/remove", {"client_id": "x"}),
    ):
        answer = await bob.context.request.post(f"{PORTAL}{path}", form={**fields, "form_token": own}, max_redirects=0)
        assert answer.status == 404, path
    for path in ("/admin", "/admin/users", "/admin/clients", "/admin/problems"):
        assert (await bob.context.request.get(f"{PORTAL}{path}", max_redirects=0)).status == 404, path
    assert await victim.identity() == before
    assert mine != theirs


async def test_pages_logs_and_exports_are_of_who_is_signed_in(
    alice: Person, bob: Person, given: Secrets, victim: Caller, attacker: Caller
) -> None:
    theirs = subject(victim.token)
    for caller, name in ((victim, "of-alice"), (attacker, "of-bob")):
        await caller.tell("write_note", name=name, text=f"{name}: private")
    query = f"?subject={theirs}&user=alice&login=alice"
    async with opened(bob, page_url(SERVER) + query) as page:
        content = await page.content()
    assert given.personal["bob"]["FIXTURE_NICKNAME"] in content
    for foreign in (*given.personal["alice"].values(), theirs, name_of(SERVER, theirs)):
        assert foreign not in content
    assert given.personal["bob"]["FIXTURE_KEY"] not in content, "a sensitive value is never shown again"
    exported = await bob.context.request.get(f"{page_url(SERVER)}/data.tar{query}")
    assert exported.status == 200
    with tarfile.open(fileobj=io.BytesIO(await exported.body())) as archive:
        names = {member.name.rpartition("/")[2] for member in archive.getmembers()}
    assert "of-bob.note" in names
    assert "of-alice.note" not in names
    for path in (f"/servers/{theirs}", f"/servers/{name_of(SERVER, theirs)}", f"/servers/{SERVER}/{theirs}/log"):
        assert (await bob.context.request.get(f"{PORTAL}{path}")).status == 404, path
    for path in ("", "/log", "/data.tar", "/delete"):
        answer = await attacker.http.get(
            f"{page_url(SERVER)}{path}", headers={"Authorization": f"Bearer {victim.token}"}
        )
        assert answer.status_code == 303, "an access token signs nobody in to the portal"


async def test_calls_of_two_people_at_once_are_never_answered_with_each_others(
    victim: Caller, attacker: Caller
) -> None:
    names = {caller: f"mix-{secrets.token_hex(4)}" for caller in (victim, attacker)}
    for caller, name in names.items():
        await caller.tell("write_note", name=name, text=name)
    expected = {caller: await caller.identity() for caller in names}

    async def ask(caller: Caller) -> None:
        foreign = next(name for other, name in names.items() if other is not caller)
        assert await caller.identity() == expected[caller]
        assert await caller.tell("read_note", name=names[caller]) == names[caller]
        assert (await caller.ask("read_note", name=foreign)).error == "ENOENT"

    await asyncio.gather(*(ask(caller) for _ in range(20) for caller in names))


def at(caller: Caller, path: str) -> Caller:
    """The same person at another path of the gateway."""
    return Caller(caller.http, f"http://127.0.0.1:{PORT}{path}", caller.token)
