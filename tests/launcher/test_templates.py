"""Templates: what is read, every problem at once, and the file that is taken up or not."""

import copy
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher import template_file
from mcp_launcher.template_file import TemplateFile
from mcp_launcher.templates import InvalidTemplates, Placeholder, Templates, parse

from tests.launcher.documents import document, encoded, own_http, server


def read(*servers: dict[str, Any], **changed: Any) -> Templates:
    return parse(encoded(document(*servers, **changed)), "s")


def problems(content: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidTemplates) as raised:
        parse(encoded(content), "s")
    return raised.value.problems


def test_a_document_is_read() -> None:
    found = read(server(), own_http())
    memory = found.servers["memory"]
    assert memory.command == (("/app/bin/server",), ("--region=", Placeholder("user:REGION")))
    assert memory.placeholders == {"user:REGION", "user:API_KEY", "secret:TEAM", "user:CREDS"}
    assert found.servers["box"].bridge is None
    assert (found.total, found.per_user, str(found.range)) == (20, 5, "10.213.128.0/24")


def test_a_digest_follows_the_content_and_not_the_order() -> None:
    turned = dict(reversed(server().items()))
    digest = read(server()).servers["memory"].digest
    assert read(turned).servers["memory"].digest == digest
    assert read(server(startSeconds=21)).servers["memory"].digest != digest


def test_every_problem_is_told_at_once() -> None:
    wrong = document(
        server(image="debian:latest", port=0, privileged=True, runtime="kata", command=[[{"value": "env:HOME"}]]),
        server(volume={"path": "/run/mcp"}),
        version=2,
    )
    found = "\n".join(problems(wrong))
    for path in (
        "version",
        "servers[0].image",
        "servers[0].port",
        "servers[0].privileged",
        "servers[0].runtime",
        "servers[0].command[0][0]",
        "servers[1].volume.path",
        "servers[1].id: is another server's too",
        "servers[1].name: is another server's too",
    ):
        assert path in found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", "debian"),
        ("image", "sha256:1234"),
        ("name", "gateway-edge"),
        ("name", "mcp-../x"),
        ("id", "../etc"),
        ("env", {"A=B": ["x"]}),
        ("env", {"A": "text"}),
        ("env", {"A": [{"value": "user:X", "more": 1}]}),
        ("files", {"../x": ["x"]}),
        ("files", {"a/b": ["x"]}),
        ("user", {"uid": 0, "gid": 1}),
        ("user", {"uid": 1, "gid": 0}),
        ("user", {"uid": True, "gid": 1}),
        ("volume", {"path": "/"}),
        ("volume", {"path": "/data/.."}),
        ("volume", {"path": "/proc"}),
        ("volume", {"path": "/etc"}),
        ("volume", {"path": "/opt"}),
        ("volume", {"path": "data"}),
        ("volume", {"path": "/data:/host"}),
        ("path", "mcp"),
        ("path", "/mcp path"),
        ("installs", 1),
        ("args", [["x"]]),
        ("command", []),
        ("amounts", {"memoryMib": 64, "reservedMemoryMib": None, "cpus": "1", "cpuShares": None, "processes": 64}),
        ("amounts", {"memoryMib": 64, "reservedMemoryMib": None, "cpus": 1, "cpuShares": None, "processes": 0}),
    ],
)
def test_a_server_that_could_be_more_than_it_should_is_refused(field: str, value: Any) -> None:
    assert any(f"servers[0].{field}" in line for line in problems(document(server(**{field: value}))))


@pytest.mark.parametrize("network", ["8.8.8.0/24", "10.0.0.0/30", "10.0.0.1/24", "fd00::/64", "all", None, 5])
def test_a_range_that_is_none_of_ones_own_is_refused(network: Any) -> None:
    assert any(line.startswith("range") for line in problems(document(range=network)))


def test_another_stacks_document_is_refused() -> None:
    with pytest.raises(InvalidTemplates, match="another stack's"):
        parse(encoded(document()), "t")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{"version": 1, "version": 1}', b'{"a": NaN}', b"[" * 100_000]
)
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidTemplates):
        parse(content)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths(inner, (*path, key))
    return found


WHOLE = document(server(), own_http())
PATHS = paths(WHOLE)


@settings(deadline=None)
@given(st.sampled_from(PATHS), junk)
def test_no_damage_does_more_than_make_a_document_invalid(path: tuple[Any, ...], value: Any) -> None:
    damaged = copy.deepcopy(WHOLE)
    place: Any = damaged
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    try:
        parse(encoded(damaged), "s")
    except InvalidTemplates as error:
        told = error.problems
    else:
        told = ["nothing was wrong"]
    assert told


def test_delivery_places_the_file_for_its_owner_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "in.json", tmp_path / "instances.json"
    source.write_bytes(encoded(document(server())))
    assert template_file.deliver(source, target) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert json.loads(target.read_text())["servers"][0]["id"] == "memory"


def test_delivery_tells_every_problem_and_keeps_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.json", tmp_path / "instances.json"
    target.write_text("before")
    source.write_bytes(encoded(document(server(port=0, image="x"))))
    assert template_file.deliver(source, target) == 1
    assert target.read_text() == "before"
    told = capsys.readouterr().err
    assert "servers[0].port" in told
    assert "servers[0].image" in told
    assert template_file.deliver(tmp_path / "none.json", target) == 1


def test_a_new_file_is_taken_up_once_and_a_wrong_one_never(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    file = TemplateFile(path, "s")
    assert file.news() is None
    template_file.place(encoded(document(server())), path)
    assert (found := file.news()) is not None
    assert set(found.servers) == {"memory"}
    assert file.news() is None
    template_file.place(b"{}", path)
    assert file.news() is None
    template_file.place(encoded(document()), path)
    assert (found := file.news()) is not None
    assert found.servers == {}
