"""What the control side renders for the edge, read by the edge itself."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp_gateway.documents.edge import EdgeState, edge_document
from mcp_gateway.documents.gateway import parse_gateway_document
from mcp_gateway.edge.document import DocumentError, document

from tests.contract.test_gateway_document import example
from tests.gateway.edge.edge_world import Signer


@pytest.fixture
def made() -> dict[str, Any]:
    state = EdgeState(
        subjects={"alice": "sub-1"},
        keys=[Signer().jwk()],
        session_key=b"k" * 32,
        revoked_tokens={"j": 1764000000},
        revoked_before={"sub-1": 1764000000},
    )
    rendered = edge_document(parse_gateway_document(json.dumps(example(1)).encode()), state)
    read: dict[str, Any] = json.loads(json.dumps(rendered))
    return read


def test_the_edge_reads_what_the_control_side_renders(made: dict[str, Any]) -> None:
    read = document(made)
    route = read.routes[b"/mcp-connect/time"]
    assert route.subjects == {"sub-1"}
    assert route.upstream is not None
    assert route.upstream.name == "10.201.0.2"
    assert dict(route.headers)[b"authorization"].startswith(b"Bearer ")
    assert route.user_headers["sub-1"][0][0] == b"x-api-key"
    assert read.revoked_before == {"sub-1": 1764000000}
    assert "j" in read.revoked_tokens


def test_the_edge_refuses_a_document_with_a_field_missing_or_unknown(made: dict[str, Any]) -> None:
    places: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
        lambda whole: whole,
        lambda whole: whole["servers"][0],
        lambda whole: whole["servers"][0]["limits"],
    ]
    for place in places:
        for name in place(made):
            if name == "caFile":
                continue
            lacking = copy.deepcopy(made)
            del place(lacking)[name]
            with pytest.raises(DocumentError):
                document(lacking)
        extended = copy.deepcopy(made)
        place(extended)["restriction"] = True
        with pytest.raises(DocumentError):
            document(extended)


def test_problems_hold_no_secret(made: dict[str, Any]) -> None:
    made["servers"][0]["upstream"]["headers"] = {"Authorization": "hunter2\r\n", "Host": "hunter2"}
    made["sessionKey"] = "hunter2"
    with pytest.raises(DocumentError) as caught:
        document(made)
    assert "hunter2" not in str(caught.value)
