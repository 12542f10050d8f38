"""The checks of the gateway document: each field, and every problem at once."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.documents.gateway import InvalidDocument, parse_gateway_document
from mcp_gateway.documents.public_url import public_url_problem

from tests.gateway.control.control_site import (
    HASHES,
    gateway_document,
    server,
    setting,
    single_user_server,
    user,
)
from tests.gateway.rules import rule

KEY = setting("X-Key")
OPTION = {"name": "", "value": "a", "description": ""}
INSTANCE = {"idleSeconds": 5, "startSeconds": 60, "volume": False, "secrets": {"secret:TEAM": "secret-value"}}
VARIABLE = setting("API_KEY", usage="env", options=[OPTION])


def whole() -> dict[str, Any]:
    """A document in which every part occurs."""
    return gateway_document(
        servers=[
            server("time", userValues={"alice": {"X-Key": "secret-value"}}, userSettings=[KEY]),
            single_user_server("memory", userSettings=[VARIABLE], instance=INSTANCE),
            server("remote", kind="remote", tools={"allowed": ["a"]}),
        ]
    )


def owing(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A server with the setting X, for which alice has values."""
    return server("time", userValues={"alice": values}, userSettings=[setting("X", **changes)])


def problems(document: object) -> list[str]:
    """The problems of a document."""
    try:
        parse_gateway_document(json.dumps(document).encode())
    except InvalidDocument as error:
        return error.problems
    return []


def paths(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a document."""
    found = [at] if at else []
    if isinstance(value, dict):
        return found + [path for name, item in value.items() for path in paths(item, (*at, name))]
    if isinstance(value, list):
        return found + [path for index, item in enumerate(value) for path in paths(item, (*at, index))]
    return found


def test_a_whole_document_is_read() -> None:
    document = parse_gateway_document(json.dumps(whole()).encode())
    assert document.servers[0].user_values["alice"]["X-Key"] == "secret-value"
    assert "secret-value" not in repr(document)
    assert "$argon2id" not in repr(document)


# Names that are the document's own content, not fields.
FREE: set[tuple[str | int, ...]] = {
    ("servers", 0, "userValues", "alice"),
    ("servers", 0, "userValues", "alice", "X-Key"),
    ("servers", 1, "instance", "secrets", "secret:TEAM"),
}


@pytest.mark.parametrize("path", [path for path in paths(whole()) if path not in FREE], ids=lambda path: repr(path))
def test_every_field_has_to_be_there_and_of_its_type(path: tuple[str | int, ...]) -> None:
    for wrong in ("remove", 1.5, "x\x00"):
        document = copy.deepcopy(whole())
        holder: Any = document
        for step in path[:-1]:
            holder = holder[step]
        if wrong == "remove":
            if isinstance(path[-1], int):
                continue
            del holder[path[-1]]
        else:
            holder[path[-1]] = wrong
        found = problems(document)
        assert found, (path, wrong)
        assert any(str(path[0]) in problem for problem in found)
        assert "secret-value" not in repr(found)
        assert HASHES["alice"] not in repr(found)


@pytest.mark.parametrize("where", ["", "tokens", "registration", "users.0", "servers.0", "servers.0.upstream"])
def test_a_field_that_is_not_known_is_refused(where: str) -> None:
    document: Any = whole()
    holder = document
    for step in where.split(".") if where else []:
        holder = holder[int(step) if step.isdecimal() else step]
    holder["surprise"] = 1
    assert [problem for problem in problems(document) if problem.endswith("surprise: is not a known field")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "version: must be 2"),
        ({"users": [user("alice"), user("alice", login="Alice")]}, "users[1].login: is given twice"),
        ({"users": [user("alice", login="a b")]}, "users[0].login: must be letters"),
        ({"users": [user("alice", passwordHash="$2b$12$x")]}, "must be an argon2id hash"),
        ({"users": [user("alice", passwordHash="$argon2id$v=19$m=8,t=1,p=1$" + "a" * 22 + "$" + "b" * 43)]}, "19 MiB"),
        ({"servers": [server("time"), server("time")]}, "servers[1].id: is given twice"),
        ({"servers": [server("a/b")]}, "servers[0].id: must be lower-case"),
        ({"servers": [server("..")]}, "servers[0].id: must be lower-case"),
        ({"servers": [server("time", path="/admin")]}, "servers[0].path: must be /mcp-connect/"),
        ({"servers": [server("time", kind="other")]}, "servers[0].kind: must be one of multiUser, singleUser, remote"),
        ({"servers": [server("time", userSettings=[setting("Host")])]}, "is not a header that may be set"),
        ({"servers": [owing({"X": "a\r\nY: b"})]}, "has a character that a header can't carry"),
        ({"servers": [owing({"X": ""})]}, "servers[0].userValues.alice.X: must not be empty"),
        ({"servers": [owing({"X": 1})]}, "servers[0].userValues.alice.X: must be a string"),
        ({"servers": [owing({"Y": "x"})]}, "servers[0].userValues.alice.Y: is not among the server's userSettings"),
        ({"servers": [owing({"X": "b"}, options=[OPTION])]}, "servers[0].userValues.alice.X: must be one of a"),
        ({"servers": [owing({"X": "a" * 16385})]}, "is longer than 16384 bytes"),
        ({"servers": [owing({}, options=[OPTION | {"value": "a\u2028"}])]}, "options[0].value: has a character"),
        ({"servers": [owing({}, usage="env")]}, "userSettings[0].usage: must be one of header"),
        ({"servers": [owing({}, prefix=" a")]}, "userSettings[0].prefix: must not begin with a blank"),
        (
            {"servers": [server("time", userSettings=[setting("X"), setting("x")])]},
            "userSettings[1].key: is given twice",
        ),
        ({"servers": [single_user_server("a", userSettings=[setting("1", usage="env")])]}, "is not a variable's name"),
        ({"servers": [server("time", upstream=None)]}, "servers[0].upstream: must be an object"),
        ({"servers": [server("time", instance=INSTANCE)]}, "servers[0].instance: must be null"),
        ({"servers": [single_user_server("a", upstream=server("a")["upstream"])]}, "servers[0].upstream: must be null"),
        ({"servers": [single_user_server("a", instance=None)]}, "servers[0].instance: must be an object"),
        ({"servers": [single_user_server("a", instance=INSTANCE | {"startSeconds": 601})]}, "between 1 and 600"),
        ({"servers": [single_user_server("a", instance=INSTANCE | {"secrets": {"TEAM": "x"}})]}, "named secret:<name>"),
        ({"tokens": {"accessSeconds": 7200, "refreshSeconds": 3600, "codeSeconds": 60}}, "between 30 and 3600"),
        ({"tokens": {"accessSeconds": True, "refreshSeconds": 3600, "codeSeconds": 60}}, "must be a whole number"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    found = problems(gateway_document(**changes))
    assert any(message in problem for problem in found), found


@pytest.mark.parametrize("url", ["ftp://a/", "http:///x", "http://u:p@a/", "http://a/#f", "a", "http://a:99999/"])
def test_an_upstream_is_a_plain_url(url: str) -> None:
    upstream: dict[str, Any] = {"url": url, "reach": "private", "headers": {}, "caFile": None}
    assert any(
        "upstream.url" in problem for problem in problems(gateway_document(servers=[server("a", upstream=upstream)]))
    )


def test_every_problem_is_told_at_once() -> None:
    document = gateway_document(publicUrl="http://mcp.example.com", stack="", users=[user("alice", login="")])
    assert len(problems(document)) == 3


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'"x"'])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocument):
        parse_gateway_document(raw)


@rule(27)
@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.com",
        "http://10.0.0.1:8080",
        "http://0.0.0.0:8080",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.2:8080",
        "https://mcp.example.com/",
        "https://mcp.example.com/path",
        "https://MCP.example.com",
        "https://mcp.example.com:443",
        "https://user@mcp.example.com",
        "https://mcp.example.com?x",
        "https://mcp.example.com#x",
        "https://mcp.example.com:65536",
        "mcp.example.com",
        "ws://mcp.example.com",
        "",
    ],
)
def test_public_urls_that_are_refused(url: str) -> None:
    assert public_url_problem(url)


@rule(27)
@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example:8443", "http://127.0.0.1:1", "http://[::1]:8080"]
)
def test_public_urls_that_are_accepted(url: str) -> None:
    assert public_url_problem(url) is None


NAMES = st.sampled_from(sorted(whole()))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    )
)
def test_no_json_makes_the_checks_fail(value: object) -> None:
    assert problems(value)
