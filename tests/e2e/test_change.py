"""A change of the catalog touches what changed, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import docker
import pytest

from tests.e2e.deployed import STACK, Deployed
from tests.e2e.sign_in import Person
from tests.e2e.test_quickstart import call

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(1800)]

EXTRA = """
name: Extra clock
entryKey: extra-clock
shortDescription: A second clock
serverUserType: multiUser
runtime: uvx
uvxConfig:
  package: {package}
  args: ["--local-timezone", "{timezone}"]
"""


def containers(deployed: Deployed) -> dict[str, str]:
    """What `up` has made and keeps: neither deliveries nor users' instances, which come and go by themselves."""
    kept = [each for each in deployed.containers() if each.labels["mcp-hosting.role"] not in {"delivery", "instance"}]
    return {str(each.name): str(each.id) for each in kept}


def package_of_time(deployed: Deployed) -> str:
    for file in deployed.catalog.glob("*.yaml"):
        found = re.search(r"package: [\"']?(mcp-server-time\S*?)[\"']?$", file.read_text(), re.MULTILINE)
        if found:
            return found.group(1)
    raise AssertionError("the quickstart has no time server")


def changes(said: str) -> dict[str, int]:
    """The engine's closing summary, for example {"unchanged": 40, "to create": 2}."""
    block = said.rsplit("Resources:", 1)[1]
    return {
        word.strip(): int(count)
        for count, word in re.findall(r"(\d+) (created|updated|deleted|replaced|unchanged|changed)", block)
    }


def test_up_without_a_change_makes_none(deployed: Deployed) -> None:
    before = containers(deployed)
    assert set(changes(deployed.up())) == {"unchanged"}
    assert containers(deployed) == before


@pytest.mark.browser
async def test_one_entry_comes_changes_and_goes_while_a_session_with_another_lives(
    deployed: Deployed, alice: Person
) -> None:
    extra = deployed.catalog / "extra.yaml"
    before = containers(deployed)
    async with alice.connect(deployed.server("everything"), "legacy") as client:
        await call(client, "echo", {"message": "before"})

        extra.write_text(EXTRA.format(package=package_of_time(deployed), timezone="UTC"))
        await asyncio.to_thread(deployed.up)
        added = containers(deployed)
        assert {name: added[name] for name in before} == before
        assert set(added) - set(before) == {f"mcp-{STACK}-extra-clock"}
        assert "one more" in await call(client, "echo", {"message": "one more"})
        async with alice.connect(deployed.server("extra-clock")) as other:
            assert "UTC" in await call(other, "get_current_time", {"timezone": "UTC"})

        extra.write_text(EXTRA.format(package=package_of_time(deployed), timezone="Europe/Rome"))
        await asyncio.to_thread(deployed.up)
        changed = containers(deployed)
        assert {name for name in changed if changed[name] != added[name]} == {f"mcp-{STACK}-extra-clock"}
        assert "changed" in await call(client, "echo", {"message": "changed"})

        extra.unlink()
        await asyncio.to_thread(deployed.up)
        assert containers(deployed) == before
        assert "after" in await call(client, "echo", {"message": "after"})
    assert not docker.from_env().networks.list(names=[f"mcp-{STACK}-extra-clock"])


def test_a_container_removed_by_hand_comes_back(deployed: Deployed) -> None:
    before = containers(deployed)
    deployed.container("time").remove(force=True)
    deployed.pulumi("up", "--yes", "--skip-preview", "--refresh")
    after = containers(deployed)
    assert {name for name in after if after[name] != before.get(name)} == {f"mcp-{STACK}-time"}


def test_a_wrong_catalog_changes_nothing_and_names_every_problem(deployed: Deployed) -> None:
    before = containers(deployed)
    wrong = deployed.catalog / "wrong.yaml"
    wrong.write_text("name: Wrong\nruntime: npx\nserverUserType: multiUser\nnpxConfig: {package: ''}\ncolour: blue\n")
    try:
        said = deployed.pulumi("up", "--yes", "--skip-preview", check=False)
    finally:
        wrong.unlink()
    assert "wrong.yaml" in said
    assert "colour" in said
    assert "npxConfig.package" in said
    assert "Traceback" not in said
    assert containers(deployed) == before


def test_the_state_holds_no_secret_in_clear(deployed: Deployed) -> None:
    exported = deployed.pulumi("stack", "export")
    document = json.loads(exported[exported.index("{") : exported.rindex("}") + 1])
    text = json.dumps(document)
    for login, password in deployed.outputs["passwords"].items():
        assert password not in text, login
    assert "$argon2id$" not in text


def test_the_configuration_file_holds_no_secret_in_clear(deployed: Deployed) -> None:
    text = Path(deployed.config_file).read_text()
    assert "secure:" in text
    for password in deployed.outputs["passwords"].values():
        assert password not in text
