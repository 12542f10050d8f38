"""Two people with a memory of their own each, by the official client: at once, after an idle stop, after a restart."""

from __future__ import annotations

import asyncio
import json
import secrets

import docker
import httpx
import pytest

from engine.key_rotation import COMMAND
from tests.e2e.deployed import PORT, STACK, Deployed
from tests.e2e.sign_in import Person
from tests.e2e.single_user.instances import crash, instances, name_of, settled, subject, until
from tests.e2e.single_user.people import Callers, Secrets
from tests.e2e.test_quickstart import call

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]

SERVER = "memory"


async def remember(person: Person, deployed: Deployed, fact: str, mode: str = "auto") -> set[str]:
    """Tell the memory something; all that it knows then."""
    entity = {"name": fact, "entityType": "fact", "observations": [f"told by {person.login}"]}
    async with person.connect(deployed.server(SERVER), mode) as client:
        await call(client, "create_entities", {"entities": [entity]})
        return names(await call(client, "read_graph", {}))


async def recall(person: Person, deployed: Deployed, mode: str = "auto") -> set[str]:
    """All that the memory knows."""
    async with person.connect(deployed.server(SERVER), mode) as client:
        return names(await call(client, "read_graph", {}))


def names(graph: str) -> set[str]:
    return {str(entity["name"]) for entity in json.loads(graph)["entities"]}


def new_fact(person: Person) -> str:
    return f"{person.login} {secrets.token_hex(6)}"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_two_people_remember_at_once_and_see_nothing_of_each_other(
    deployed: Deployed, alice: Person, bob: Person, mode: str
) -> None:
    facts = new_fact(alice), new_fact(bob)
    known = await asyncio.gather(remember(alice, deployed, facts[0], mode), remember(bob, deployed, facts[1], mode))
    assert facts[0] in known[0]
    assert facts[1] in known[1]
    assert {fact.split()[0] for fact in known[0]} == {"alice"}
    assert {fact.split()[0] for fact in known[1]} == {"bob"}


async def test_first_requests_at_once_of_one_person_start_one_instance(
    deployed: Deployed, bob: Person, callers: Callers
) -> None:
    caller = await callers.of(bob, SERVER)
    name = name_of(SERVER, subject(caller.token))
    await until(
        "bob's memory is idle and stopped", lambda: not [each for each in instances(SERVER) if each.name == name]
    )
    answers = await asyncio.gather(*(caller.ask("read_graph") for _ in range(12)))
    assert [answer for answer in answers if not answer.worked] == []
    assert [each.name for each in instances(SERVER)].count(name) == 1


async def test_what_was_told_is_there_after_an_idle_stop(deployed: Deployed, alice: Person, callers: Callers) -> None:
    fact = new_fact(alice)
    await remember(alice, deployed, fact)
    name = name_of(SERVER, subject((await callers.of(alice, SERVER)).token))
    await until(
        "alice's memory is idle and stopped", lambda: not [each for each in instances(SERVER) if each.name == name]
    )
    assert not docker.from_env().networks.list(names=[name]), "its network has gone with it"
    assert fact in await recall(alice, deployed)


async def test_data_and_values_are_there_after_a_restart_of_the_gateway(
    deployed: Deployed, alice: Person, bob: Person, given: Secrets, callers: Callers, http: httpx.AsyncClient
) -> None:
    fact = new_fact(alice)
    await remember(alice, deployed, fact)
    people = [(person, await callers.of(person, "fixture-personal")) for person in (alice, bob)]
    before = [await caller.identity() for _, caller in people]
    gateway = [deployed.container(f"gateway-{part}") for part in ("launcher", "control", "edge")]
    await asyncio.gather(*(asyncio.to_thread(each.restart, timeout=10) for each in gateway))

    async def ready() -> bool:
        try:
            return (await http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    await settled(ready, f"the gateway at port {PORT} of {STACK} is ready again")
    for person, caller in people:
        assert await caller.proves("file", "FIXTURE_KEY", given.personal[person.login]["FIXTURE_KEY"])
    assert [await caller.identity() for _, caller in people] == before, "instances go on while the gateway restarts"
    assert fact in await recall(alice, deployed, "legacy")


async def test_values_and_connections_outlive_a_rotation_of_the_keys(
    deployed: Deployed, alice: Person, given: Secrets, callers: Callers
) -> None:
    caller = await callers.of(alice, "fixture-personal")
    before = await caller.identity()
    name = name_of("fixture-personal", subject(caller.token))
    control = deployed.container("gateway-control")
    done = await asyncio.to_thread(control.exec_run, list(COMMAND))
    said = str(done.output)
    assert done.exit_code == 0, said
    for value in (*given.personal["alice"].values(), *given.bridged["alice"].values()):
        assert value not in said
    assert await caller.identity() == before, "nothing is cut by a rotation"
    # The instance's next start reads what was sealed anew, in a process that knows the new keys alone.
    await asyncio.to_thread(control.restart, timeout=10)
    await asyncio.to_thread(crash, next(each for each in instances("fixture-personal") if each.name == name))

    async def works() -> bool:
        return (await caller.ask("whoami_instance")).worked

    await settled(works, "alice's instance has started again")
    assert await caller.identity() != before
    assert await caller.proves("file", "FIXTURE_KEY", given.personal["alice"]["FIXTURE_KEY"])
