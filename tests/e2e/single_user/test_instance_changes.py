"""`up` with another template, user or entry, `destroy`, and `up` again: instances follow, data stays."""

from __future__ import annotations

import asyncio
import json
import secrets

import docker
import pytest
from ruamel.yaml import YAML

from tests.e2e.deployed import ADDED, Deployed
from tests.e2e.sign_in import Person
from tests.e2e.single_user.instances import Caller, instance_networks, instances, name_of, settled, subject, until
from tests.e2e.single_user.people import Callers, Secrets
from tests.e2e.single_user.portal_pages import page_url
from tests.e2e.test_change import changes

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(1800)]

BRIDGED = "bridged-personal"
yaml = YAML()


async def edition(caller: Caller) -> str | None:
    """What the entry says, as it reached the instance; None: no answer."""
    answer = await caller.ask("get-env")
    return str(json.loads(answer.text)["BRIDGED_EDITION"]) if answer.worked else None


def is_there(server: str, caller: Caller) -> bool:
    """Whether the caller has an instance."""
    return name_of(server, subject(caller.token)) in {str(each.name) for each in instances(server)}


async def test_a_changed_entry_replaces_what_runs_and_no_other(
    deployed: Deployed, alice: Person, given: Secrets, callers: Callers
) -> None:
    bridged, fixture = await callers.of(alice, BRIDGED), await callers.of(alice, "fixture-personal")
    assert await edition(bridged) == "first"
    before = await fixture.identity()
    name = name_of(BRIDGED, subject(bridged.token))
    (running,) = [str(each.id) for each in instances(BRIDGED) if each.name == name]
    changed = json.loads(json.dumps(ADDED[BRIDGED]))
    changed["env"][-1]["value"] = "second"
    yaml.dump(changed, deployed.catalog / f"{BRIDGED}.yaml")
    said = await asyncio.to_thread(deployed.up)
    assert set(changes(said)) <= {"unchanged", "created", "deleted", "replaced"}
    # Nobody calls meanwhile: what is in use is not replaced.
    await until("what ran before is gone", lambda: running not in {str(each.id) for each in instances(BRIDGED)}, 90)
    bridged = await callers.of(alice, BRIDGED)

    async def replaced() -> bool:
        return await edition(bridged) == "second"

    await settled(replaced, "the instance is the new entry's")
    assert await fixture.identity() == before


async def test_a_removed_user_and_a_removed_entry_lose_their_instances_and_keep_their_data(
    deployed: Deployed, alice: Person, bob: Person, given: Secrets, callers: Callers
) -> None:
    theirs, mine = [await callers.of(person, "fixture-personal") for person in (bob, alice)]
    bridged = await callers.of(alice, BRIDGED)
    await theirs.tell("write_note", name="kept", text="by bob")
    before = await mine.identity()
    assert await edition(bridged) is not None
    entry = deployed.catalog / f"{BRIDGED}.yaml"
    config, text = yaml.load(deployed.config_file), entry.read_text()
    users = list(config["config"]["mcp-hosting:users"])
    try:
        config["config"]["mcp-hosting:users"] = [each for each in users if each["login"] != "bob"]
        passwords = dict(config["config"]["mcp-hosting:passwords"])
        config["config"]["mcp-hosting:passwords"] = {key: value for key, value in passwords.items() if key != "bob"}
        remote = config["config"]["mcp-hosting:servers"]["fixture-remote"]["userValues"]
        declared = remote.pop("bob")
        moved = config["config"]["mcp-hosting:servers"].pop(BRIDGED)
        yaml.dump(config, deployed.config_file)
        entry.unlink()
        await asyncio.to_thread(deployed.up)
        await until("bob's instance is gone", lambda: not is_there("fixture-personal", theirs))
        await until("no instance of the removed entry is there", lambda: not instances(BRIDGED))
        assert (await theirs.ask("whoami_instance")).status in {401, 404}
        assert await mine.identity() == before
        volumes = {str(each.name) for each in docker.from_env().volumes.list()}
        assert f"{name_of('fixture-personal', subject(theirs.token))}-data" in volumes
    finally:
        config["config"]["mcp-hosting:users"] = users
        config["config"]["mcp-hosting:passwords"] = passwords
        remote["bob"] = declared
        config["config"]["mcp-hosting:servers"][BRIDGED] = moved
        yaml.dump(config, deployed.config_file)
        entry.write_text(text)
        # What was given to them went with them: the next test's people give anew.
        given.bridged.clear()
        given.personal.pop("bob", None)
        await asyncio.to_thread(deployed.up)
    again = await (await callers.of(alice, BRIDGED)).ask("get-env")
    assert not again.worked, "an entry that comes back may be another one: it isn't handed what the first was given"
    assert page_url(BRIDGED) in again.error


async def test_destroy_takes_the_instances_and_up_brings_data_and_values_back(
    deployed: Deployed, alice: Person, given: Secrets, callers: Callers
) -> None:
    caller = await callers.of(alice, "fixture-personal")
    note = secrets.token_hex(8)
    await caller.tell("write_note", name="before-destroy", text=note)
    assert instances()
    await asyncio.to_thread(deployed.pulumi, "destroy", "--yes")
    assert [str(each.name) for each in deployed.containers()] == []
    assert deployed.networks() == []
    await asyncio.to_thread(deployed.up)
    caller = await callers.of(alice, "fixture-personal")
    assert await caller.tell("read_note", name="before-destroy") == note
    assert await caller.proves("file", "FIXTURE_KEY", given.personal["alice"]["FIXTURE_KEY"])
    running = {str(each.name) for each in deployed.containers()}
    assert set(changes(await asyncio.to_thread(deployed.up))) == {"unchanged"}
    assert {str(each.name) for each in deployed.containers()} >= running - {str(each.name) for each in instances()}
    assert name_of("fixture-personal", subject(caller.token)) in instance_networks()
