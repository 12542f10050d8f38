"""The conformance suite through a real edge: check by check what it says of the fixture server directly."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.authorizing_proxy import AuthorizingProxy
from tests.conformance.fixture_process import fixture_server
from tests.conformance.run import REVISIONS, install, lasting_differences
from tests.gateway.edge.edge_world import new_world, server_entry

pytestmark = pytest.mark.timeout(400)

SUBJECT = "sub-alice"
LIMITS = {"requestBytes": 4_194_304, "callsPerMinute": 1_000_000, "answerSeconds": 300}


@pytest.mark.parametrize("revision", REVISIONS)
def test_edge_changes_no_verdict(tmp_path: Path, revision: str) -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    suite = install()
    with fixture_server() as direct, new_world(tmp_path) as world:

        def route(document: dict[str, Any]) -> None:
            document["servers"] = [server_entry("fixture", direct, [SUBJECT], limits=LIMITS)]
            document["allowedHosts"] = [f"127.0.0.1:{world.port}"]
            document["allowedOrigins"] = [f"http://127.0.0.1:{world.port}"]

        world.publish(route)
        token = world.token("fixture", SUBJECT)
        gateway = f"http://127.0.0.1:{world.port}/mcp-connect/fixture"
        with AuthorizingProxy(gateway, lambda: token).running() as url:
            assert lasting_differences(suite, direct, url, revision) == []
