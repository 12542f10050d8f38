"""The official conformance suite: the fixture server passes it, and the gateway changes nothing about that."""

import json
import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.authorizing_proxy import AuthorizingProxy
from tests.conformance.fixture_process import fixture_server
from tests.conformance.one_call import call_tool
from tests.conformance.run import REVISIONS, Check, Suite, differences, failing, install, lasting_differences, run

pytestmark = pytest.mark.timeout(400)

TASKS = (
    "tasks-capability-negotiation",
    "tasks-dispatch-and-envelope",
    "tasks-lifecycle",
    "tasks-mrtr-composition",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-request-state-removal",
    "tasks-required-task-error",
    "tasks-wire-fields",
)
"""Scenarios of an optional extension (io.modelcontextprotocol/tasks) that the SDK doesn't offer; not scored."""


@pytest.fixture(scope="module")
def suite() -> Suite:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    return install()


@pytest.fixture(scope="module")
def fixture_url() -> Iterator[str]:
    with fixture_server() as url:
        yield url


@pytest.mark.parametrize(("revision", "accepted"), [("2025-11-25", set()), ("2026-07-28", set(TASKS))])
def test_fixture_server_passes_all_that_is_required(
    suite: Suite, fixture_url: str, revision: str, accepted: set[str]
) -> None:
    results = run(suite, fixture_url, revision)
    assert len(results) > 30
    assert {name: ids for name, ids in failing(results).items() if name not in accepted} == {}


def test_proxy_adds_the_token_and_changes_no_verdict(suite: Suite, fixture_url: str) -> None:
    with AuthorizingProxy(fixture_url, lambda: "a.token").running() as url:
        seen, _ = call_tool(url, "whoami_headers")
        assert ["authorization", "Bearer a.token"] in json.loads(seen)
        for revision in REVISIONS:
            assert lasting_differences(suite, fixture_url, url, revision) == []


def test_proxy_passes_a_foreign_host_on(fixture_url: str) -> None:
    with AuthorizingProxy(fixture_url, lambda: "a.token").running() as url:
        assert httpx.get(url, headers={"Host": "evil.example.com"}).status_code == 421


def test_a_changed_verdict_is_told() -> None:
    one = {"tools-list": (Check("a", "SUCCESS"), Check("b", "SUCCESS")), "ping": (Check("ping", "SUCCESS"),)}
    other = {
        "tools-list": (Check("a", "SUCCESS"), Check("b", "FAILURE")),
        "caching": (Check("c", "WARNING"), Check("d", "INFO")),
    }
    assert differences(one, other) == [
        "caching:c: absent here, WARNING there",
        "ping:ping: SUCCESS here, absent there",
        "tools-list:b: SUCCESS here, FAILURE there",
    ]
