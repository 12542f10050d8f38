"""What can and what can't be sent to the engine."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher.allowlist import Refused, Request
from mcp_launcher.allowlist import check as check_request
from mcp_launcher.known import Known
from mcp_launcher.transport import Transport

EDGE, SERVER, NETWORK, STRANGER = "e" * 64, "5" * 64, "a" * 64, "f" * 64
KNOWN = Known(edges=frozenset({EDGE}), server_networks=frozenset({NETWORK}), containers=frozenset({EDGE, SERVER}))
CONNECT = {"Container": EDGE, "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.201.0.3"}}}
DISCONNECT = {"Container": EDGE, "Force": False}

OF_THE_STACK = {"filters": '{"label": ["mcp-hosting.stack=s"]}'}
LISTS = ("/events", "/containers/json", "/networks", "/volumes")


def check(method: str, path: str, body: dict[str, Any] | None, known: Known) -> None:
    query = OF_THE_STACK if path in LISTS else {}
    check_request(Request(method=method, path=path, query=query, body=body), known, "s")


ALLOWED: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/_ping", None),
    ("GET", "/events", None),
    ("GET", "/containers/json", None),
    ("GET", f"/containers/{STRANGER}/json", None),
    ("GET", "/networks", None),
    ("GET", "/volumes", None),
    ("GET", f"/networks/{STRANGER}", None),
    ("POST", f"/networks/{NETWORK}/connect", CONNECT),
    ("POST", f"/networks/{NETWORK}/disconnect", DISCONNECT),
    ("POST", f"/containers/{SERVER}/update", {"PidsLimit": 64}),
]


@pytest.mark.parametrize(("method", "path", "body"), ALLOWED)
def test_the_launchers_own_requests_pass(method: str, path: str, body: dict[str, Any] | None) -> None:
    check(method, path, body, KNOWN)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/containers/create", {"Image": "x"}),
        ("POST", f"/containers/{SERVER}/start", {}),
        ("POST", f"/containers/{SERVER}/exec", {"Cmd": ["sh"]}),
        ("DELETE", f"/containers/{SERVER}", None),
        ("PUT", f"/containers/{SERVER}/archive", {}),
        ("GET", f"/containers/{SERVER}/archive", None),
        ("GET", f"/containers/{SERVER}/logs", None),
        ("GET", "/containers/json/../../images/json", None),
        ("GET", "/containers/%2e%2e/json", None),
        ("GET", f"/containers/{SERVER}/json\r\nX: y", None),
        ("GET", f"/containers/{SERVER}/json\n", None),
        ("GET", "/containers/a-name/json", None),
        ("GET", "/info", None),
        ("GET", "/secrets", None),
        ("GET", "/networks", {}),
        ("POST", "/networks/create", {"Name": "x"}),
        ("POST", f"/networks/{STRANGER}/connect", CONNECT),
        ("POST", f"/networks/{NETWORK}/connect", CONNECT | {"Container": SERVER}),
        ("POST", f"/networks/{NETWORK}/connect", {"Container": EDGE}),
        ("POST", f"/networks/{NETWORK}/connect", {"Container": EDGE, "EndpointConfig": None}),
        ("POST", f"/networks/{NETWORK}/connect", {"Container": EDGE, "EndpointConfig": {"IPAMConfig": None}}),
        (
            "POST",
            f"/networks/{NETWORK}/connect",
            {
                "Container": EDGE,
                "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.201.0.3"}, "DriverOpts": {"a": "b"}},
            },
        ),
        (
            "POST",
            f"/networks/{NETWORK}/connect",
            {"Container": EDGE, "EndpointConfig": {"IPAMConfig": {"IPv4Address": "somewhere"}}},
        ),
        ("POST", f"/networks/{STRANGER}/disconnect", DISCONNECT),
        ("POST", f"/networks/{NETWORK}/disconnect", {"Container": SERVER, "Force": False}),
        ("POST", f"/networks/{NETWORK}/disconnect", {"Container": EDGE, "Force": True}),
        ("POST", f"/containers/{STRANGER}/update", {"PidsLimit": 64}),
        ("POST", f"/containers/{SERVER}/update", {"PidsLimit": 64, "Memory": 1}),
        ("POST", f"/containers/{SERVER}/update", {"RestartPolicy": {"Name": "no"}}),
        ("POST", f"/containers/{SERVER}/update", {"PidsLimit": -1}),
        ("POST", f"/containers/{SERVER}/update", {"PidsLimit": 0}),
        ("POST", f"/containers/{SERVER}/update", {"PidsLimit": True}),
        ("POST", f"/containers/{SERVER}/update", {"PidsLimit": "64"}),
        ("POST", f"/containers/{SERVER}/update", {}),
        ("POST", f"/containers/{SERVER}/update", None),
    ],
)
def test_anything_else_is_refused(method: str, path: str, body: dict[str, Any] | None) -> None:
    with pytest.raises(Refused):
        check(method, path, body, KNOWN)


@pytest.mark.parametrize(("method", "path", "body"), [entry for entry in ALLOWED if entry[0] == "POST"])
def test_nothing_can_be_changed_before_the_engines_labels_were_seen(
    method: str, path: str, body: dict[str, Any]
) -> None:
    with pytest.raises(Refused):
        check(method, path, body, Known())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    st.sampled_from(["POST", "PUT", "DELETE", "HEAD", "PATCH", "get", "OPTIONS"]),
    st.sampled_from([path for _, path, _ in ALLOWED]) | st.text(max_size=80),
    st.none()
    | st.dictionaries(st.sampled_from(["Container", "EndpointConfig", "Force", "PidsLimit", "Memory"]), json_values),
)
def test_no_other_method_or_body_passes(method: str, path: str, body: dict[str, Any] | None) -> None:
    if (method, path, body) in ALLOWED:
        return
    if method == "POST" and path.endswith("/update") and body and body.keys() == {"PidsLimit"}:
        return
    with pytest.raises(Refused):
        check(method, path, body, KNOWN)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"all": "true"},
        {"filters": "{}"},
        {"filters": '{"label": ["mcp-hosting.stack=other"]}'},
        {"filters": '{"label": ["mcp-hosting.stack"]}'},
        {"filters": '{"label": []}'},
        {"filters": '{"label": ["mcp-hosting.stack=s", "mcp-hosting.stack=other"]}'},
        {**OF_THE_STACK, "size": "true"},
        {**OF_THE_STACK, "all": "1"},
        {"filters": "nonsense"},
    ],
)
@pytest.mark.parametrize("path", LISTS)
def test_lists_are_read_of_the_own_stack_only(path: str, query: dict[str, str]) -> None:
    with pytest.raises(Refused):
        check_request(Request(method="GET", path=path, query=query), KNOWN, "s")


def test_client_refuses_before_it_opens_the_socket(tmp_path: Any) -> None:
    transport = Transport(str(tmp_path / "no-such-socket"), "s")
    request = Request(method="POST", path="/containers/create", query={"name": "x"}, body={"Image": "x"})
    with pytest.raises(Refused):
        transport.exchange(request)
    with pytest.raises(Refused):
        transport.stream(Request(method="POST", path=f"/containers/{SERVER}/attach"), attach=True)
