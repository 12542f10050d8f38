"""The instance templates that the program renders, read by the launcher, which they are rendered for."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher.templates import InvalidTemplates, Placeholder, Templates, parse

from components.catalog.volume import path_wrong
from components.config.stack import InstancesConfig
from components.plan.addresses import instances
from components.plan.model import HostingPlan
from components.plan.text import Json, images_of
from components.render.docker.images import Images
from components.render.docker.instances import templates_document
from components.render.gateway import gateway_document
from tests.contract.test_gateway_document import example, shape
from tests.contract.test_rendered_documents import VALUES
from tests.render.stack import DESK, full, sources
from tests.unit.plan.declared import changed, planned


def delivered(hosting: HostingPlan) -> dict[str, Any]:
    """The document as it is uploaded."""
    document: Json = templates_document(hosting, Images(hosting, sources()))
    ids = {
        image.reference: f"sha256:{hashlib.sha256(image.reference.encode()).hexdigest()}"
        for image in images_of(document)
    }
    found: dict[str, Any] = VALUES.filled(document, ids)
    return found


def read(document: dict[str, Any]) -> Templates:
    return parse(json.dumps(document).encode(), "test")


def test_the_launcher_accepts_what_is_rendered() -> None:
    found = read(delivered(full()))
    assert set(found.servers) == {"desk", "notes"}
    assert (found.total, found.per_user, found.starts_at_once) == (200, 20, 4)
    assert str(found.range) == "10.201.128.0/17"
    notes, desk = found.servers["notes"], found.servers["desk"]
    assert notes.command[1] == ("--region=", Placeholder("user:REGION"))
    assert notes.bridge is not None
    assert notes.bridge.session == "shared"
    assert (desk.bridge, desk.user, desk.volume_path) == (None, (1000, 2000), "/var/lib/desk")


def test_the_control_side_is_given_every_placeholder_that_the_launcher_knows() -> None:
    templates = read(delivered(full()))
    servers: Any = gateway_document(full())["servers"]
    for server in servers:
        if server["kind"] != "singleUser":
            assert server["id"] not in templates.servers
            continue
        told = {f"user:{each['key']}" for each in server["userSettings"] if each["usage"] != "header"}
        assert templates.servers[server["id"]].placeholders == told | set(server["instance"]["secrets"])


def test_what_is_rendered_has_the_shape_that_the_contracts_show() -> None:
    made, shown = delivered(full()), example(8)
    assert list(made) == list(shown)
    notes = next(each for each in made["servers"] if each["id"] == "notes")
    (expected,) = shown["servers"]
    assert list(notes) == list(expected)
    free = ("command", "args", "env", "files", "amounts")
    assert shape({key: value for key, value in notes.items() if key not in free}) == shape(
        {key: value for key, value in expected.items() if key not in free}
    )


def test_the_launcher_needs_every_field_and_takes_no_other() -> None:
    whole = delivered(full())
    for name in whole["servers"][0]:
        lacking = copy.deepcopy(whole)
        del lacking["servers"][0][name]
        with pytest.raises(InvalidTemplates, match=name):
            read(lacking)
    with pytest.raises(InvalidTemplates, match="privileged"):
        read({**whole, "servers": [{**whole["servers"][0], "privileged": True}]})


SEGMENTS = st.from_regex(r"[A-Za-z0-9._ -]{0,12}", fullmatch=True) | st.sampled_from(
    ["data", "etc", "mcp", "run", "tmp", "opt", "runner", "proc", "usr", "lib", "var", "..", "."]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SEGMENTS, max_size=12).map(lambda parts: "".join(f"/{part}" for part in parts)))
def test_a_volume_that_a_stack_may_ask_for_is_one_that_the_launcher_mounts(path: str) -> None:
    if path_wrong(path) is None:
        hosting = planned([DESK], servers={"desk": {"volume": {"path": path}}})
        assert read(delivered(hosting)).servers["desk"].volume_path == path


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 26), st.integers(1, 10_000), st.integers(1, 64))
def test_bounds_that_are_planned_are_bounds_that_the_launcher_takes(length: int, total: int, starts: int) -> None:
    config = InstancesConfig.model_validate({"total": total, "startsAtOnce": min(starts, total)})
    bounds = instances(config, subnets=f"10.0.0.0/{length}", needed=False)
    document = delivered(full())
    document["range"] = bounds.range
    document["uids"] = {"first": bounds.first_uid, "count": bounds.uids}
    document["limits"] = {
        "total": bounds.total,
        "perUser": bounds.per_user,
        "startsAtOnce": bounds.starts_at_once,
    }
    assert read(document).total == total


def test_a_server_that_installs_at_start_may_run_what_it_installs() -> None:
    entry = {
        "name": "Live",
        "entryKey": "live",
        "runtime": "npx",
        "npxConfig": {"package": "live@1.0.0"},
    }
    egress = {"unrestricted": True, "reason": "packages come from a registry"}
    servers = {"live": {"egress": egress, "installAtStart": {"reason": "no image can be built here"}}}
    (live,) = read(delivered(planned([changed(entry)], servers=servers))).servers.values()
    assert (live.installs, live.internet) == (True, True)
    assert live.command[:3] == (("npx",), ("-y",), ("live@1.0.0",))
    assert live.env["SSL_CERT_FILE"] == ("/etc/ssl/certs/ca-certificates.crt",)
