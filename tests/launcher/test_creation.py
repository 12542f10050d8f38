"""What may be created: exactly what a template in force says. Every other body is refused, whoever asks."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher import bodies
from mcp_launcher.allocation import Place
from mcp_launcher.allowlist import ATTACHED, MEASURED, REMOVED, Refused, Request, check
from mcp_launcher.creation import archive_allowed, container_allowed, network_allowed, volume_allowed
from mcp_launcher.instance_engine import archive
from mcp_launcher.known import Known
from mcp_launcher.likeness import fits
from mcp_launcher.owned import Key, Owned, instance_name, labels
from mcp_launcher.placeholders import fill
from mcp_launcher.templates import Placeholder, parse

from tests.launcher.documents import OTHER, READY_IMAGE, SUBJECT, document, encoded, own_http, server

TEMPLATES = parse(
    encoded(document(server(), own_http(), server("free", internet=True, runtime="runsc", user={"uid": 7, "gid": 8})))
)
PLACE = Place(IPv4Network("10.213.128.8/29"))
VALUES = {"user:REGION": "eu", "user:API_KEY": "k;end", "secret:TEAM": "blue", "user:CREDS": "c"}
OWNER = (30_001, 30_001)
NETWORK, INSTANCE, HELPER = "a" * 64, "b" * 64, "c" * 64


def known(server_id: str, *, subject: str = SUBJECT, role: str = "delivery", end: str = "-delivery") -> Known:
    """What the engine shows while an instance is started."""
    template, key = TEMPLATES.servers[server_id], Key(server_id, subject)
    name = instance_name(template.name, subject)
    network = bodies.network("s", template, key, PLACE)
    marks = labels("s", key, "data", uid="30001")
    volume = Owned(id=f"{name}-data", name=f"{name}-data", key=key, role="data", labels=marks)
    instance = Owned(id=INSTANCE, name=name, key=key, role="instance", labels=labels("s", key, "instance", uid="30001"))
    helper = Owned(id=HELPER, name=name + end, key=key, role=role, labels=labels("s", key, role))
    return Known(
        templates=TEMPLATES,
        networks={NETWORK: Owned(id=NETWORK, name=name, key=key, role="instance", labels=network["Labels"])},
        volumes={volume.id: volume},
        owned={INSTANCE: instance, HELPER: helper},
    )


def made(kind: str) -> tuple[str, dict[str, Any], Known]:
    """A body of each kind that is created, its name, and what is known then."""
    server_id = {"bridged": "memory", "own": "box", "free": "free", "ready": "box"}.get(kind, "memory")
    template, key = TEMPLATES.servers[server_id], Key(server_id, SUBJECT)
    name = instance_name(template.name, SUBJECT)
    match kind:
        case "bridged" | "own" | "free":
            owner = template.user or OWNER
            body = bodies.instance("s", template, key, PLACE, owner, fill(template, VALUES), "ab12")
        case "delivery":
            name, body = f"{name}-delivery", bodies.delivery("s", READY_IMAGE, key)
        case "keeper":
            body = bodies.keeper("s", READY_IMAGE, key, f"{name}-data", read_only=False)
            name = f"{name}-keeper"
        case "export":
            body = bodies.keeper("s", READY_IMAGE, key, f"{name}-data", read_only=True)
            name = f"{name}-export-0123abcd"
        case _:
            body = bodies.ready("s", READY_IMAGE, TEMPLATES.ready_script, template, key, OWNER, INSTANCE)
            name = f"{name}-ready"
    return name, body, known(server_id)


KINDS = ["bridged", "own", "free", "delivery", "keeper", "export", "ready"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_templates_say_may_be_created(kind: str) -> None:
    name, body, seen = made(kind)
    assert container_allowed(name, body, seen)


def damages(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Each place of a body, and each way to change it."""
    if path:
        yield path, "drop"
        yield path, "change"
    if isinstance(value, dict):
        yield path, "add"
        for key, inner in value.items():
            yield from damages(inner, (*path, key))
    elif isinstance(value, list):
        yield path, "append"
        for index, inner in enumerate(value):
            yield from damages(inner, (*path, index))


def damaged(body: dict[str, Any], path: tuple[Any, ...], how: str, value: Any) -> dict[str, Any]:
    found: Any = {"": copy.deepcopy(body)}
    holder, last = found, ""
    for key in path:
        holder, last = holder[last], key
    match how:
        case "drop":
            del holder[last]
        case "change":
            holder[last] = value
        case "add":
            holder[last]["Added"] = value
        case _:
            holder[last].append(value)
    changed: dict[str, Any] = found[""]
    return changed


HOLES: dict[str, set[tuple[Any, ...]]] = {
    "bridged": {("Labels", "mcp-hosting.revision")},
    "own": {
        ("Labels", "mcp-hosting.revision"),
        ("Entrypoint", 1),
        ("Cmd", 0),
    },
    "free": {("Labels", "mcp-hosting.revision")},
}
"""What a caller's values decide; variables and files are looked at by tests of their own."""


BAD: list[Any] = ["x", "/var/run/docker.sock:/s", 1, True, [], {}, None, ["SYS_ADMIN"], "host", "0:0"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_single_change_of_a_body_passes(kind: str) -> None:
    name, body, seen = made(kind)
    tried = 0
    for path, how in damages(body):
        if path in HOLES.get(kind, set()) or (kind == "own" and (path[:1] == ("Env",) or "VolumesFrom" in path)):
            continue
        for value in BAD:
            changed = damaged(body, path, how, value)
            if changed != body or repr(changed) != repr(body):
                tried += 1
                assert not container_allowed(name, changed, seen), (path, how, value)
    assert tried > 300


DANGERS: dict[str, Any] = {
    "Privileged": True,
    "Binds": ["/:/host"],
    "CapAdd": ["SYS_ADMIN"],
    "CapDrop": [],
    "SecurityOpt": [],
    "NetworkMode": "host",
    "PidMode": "host",
    "IpcMode": "host",
    "UsernsMode": "host",
    "UTSMode": "host",
    "CgroupnsMode": "host",
    "CgroupParent": "/",
    "Devices": [{"PathOnHost": "/dev/sda"}],
    "DeviceRequests": [{"Driver": "nvidia"}],
    "DeviceCgroupRules": ["a *:* rwm"],
    "VolumesFrom": ["mcp-s-gateway-control"],
    "Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}],
    "Tmpfs": {"/tmp": "exec"},
    "PortBindings": {"8080/tcp": [{"HostPort": "80"}]},
    "Runtime": "other",
    "Sysctls": {"net.ipv4.ip_forward": "1"},
    "ExtraHosts": ["a:127.0.0.1"],
    "Dns": ["8.8.8.8"],
    "Links": ["mcp-s-gateway-control"],
    "GroupAdd": ["0"],
    "MaskedPaths": [],
    "ReadonlyPaths": [],
    "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
    "LogConfig": {"Type": "syslog", "Config": {}},
    "OomKillDisable": True,
    "PidsLimit": -1,
    "Memory": 0,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("danger", DANGERS)
def test_no_danger_passes(kind: str, danger: str) -> None:
    name, body, seen = made(kind)
    assert not container_allowed(name, {**body, "HostConfig": {**body["HostConfig"], danger: DANGERS[danger]}}, seen)


def test_another_instances_name_subject_or_network_does_not_pass() -> None:
    name, body, seen = made("bridged")
    other = instance_name("mcp-s-memory", OTHER)
    assert not container_allowed(other, body, seen)
    assert not container_allowed("mcp-s-gateway-control", body, seen)
    assert not container_allowed(name, body, replace(seen, networks={}))
    assert not container_allowed(name, body, replace(seen, volumes={}))
    assert not container_allowed(name, body, replace(seen, templates=None))
    assert not container_allowed(name, body, known("memory", subject=OTHER))
    marks = {**body["Labels"], "mcp-hosting.subject": OTHER}
    assert not container_allowed(other, {**body, "Labels": marks}, seen)


def test_a_ready_container_joins_its_own_instance_only() -> None:
    name, body, seen = made("ready")
    for mode in ("host", "container:" + HELPER, "container:" + "d" * 64, "container:mcp-s-gateway-control", "bridge"):
        assert not container_allowed(name, {**body, "HostConfig": {**body["HostConfig"], "NetworkMode": mode}}, seen)


@pytest.mark.parametrize(
    "env",
    [
        ["API_KEY=k", "API_KEY=k"],
        ["OTHER=x"],
        ["TEAM=other"],
        ["MEMORY_FILE_PATH=/etc/passwd"],
        ["CREDS=/run/mcp/other"],
        ["LD_PRELOAD=/data/x.so"],
        ["PATH=/data"],
        ["API_KEY"],
        [5],
        "API_KEY=k",
        {},
    ],
)
def test_only_a_templates_variables_pass(env: Any) -> None:
    name, body, seen = made("own")
    allowed = {"API_KEY=k", "API_KEY"}
    expected = isinstance(env, list) and len(env) == 1 and env[0] in allowed
    assert container_allowed(name, {**body, "Env": env}, seen) is expected


def test_files_come_from_the_own_delivery_or_from_none() -> None:
    name, body, seen = made("own")
    for source in ([f"{name}-delivery"], ["mcp-s-gateway-control:ro"], [f"{name}-delivery:ro", "other:ro"], "x", None):
        host = {**body["HostConfig"], "VolumesFrom": source}
        assert not container_allowed(name, {**body, "HostConfig": host}, seen)
    assert container_allowed(name, {**body, "HostConfig": {**body["HostConfig"], "VolumesFrom": []}}, seen)
    assert not container_allowed(name, body, replace(seen, owned={}))


def test_networks_and_volumes_are_the_templates() -> None:
    template, key = TEMPLATES.servers["memory"], Key("memory", SUBJECT)
    network, volume = bodies.network("s", template, key, PLACE), bodies.volume("s", template, key, 30_001)
    seen = Known(templates=TEMPLATES)
    assert network_allowed(network, seen)
    assert volume_allowed(volume, seen)
    for path, how in damages(network):
        for value in [*BAD, "10.0.0.0/8"]:
            changed = damaged(network, path, how, value)
            assert repr(changed) == repr(network) or not network_allowed(changed, seen), (path, how, value)
    for path, how in damages(volume):
        for value in [*BAD, "/etc", "nfs", {"type": "none", "o": "bind", "device": "/"}]:
            changed = damaged(volume, path, how, value)
            assert repr(changed) == repr(volume) or not volume_allowed(changed, seen), (path, how, value)
    outside = bodies.network("s", template, key, Place(IPv4Network("10.213.0.8/29")))
    assert not network_allowed(outside, seen)
    assert not volume_allowed(bodies.volume("s", TEMPLATES.servers["box"], Key("box", SUBJECT), 30_001), seen)


def test_files_go_only_into_what_never_runs() -> None:
    delivery, keeper = known("memory"), known("memory", end="-keeper")
    files = archive([("files", None), ("files/CREDS", b"c")], OWNER)
    root = archive([("data", None)], OWNER)
    assert archive_allowed(HELPER, "/run/mcp", files, delivery)
    assert archive_allowed(HELPER, "/", root, keeper)
    assert not archive_allowed(INSTANCE, "/run/mcp", files, delivery)
    assert not archive_allowed(INSTANCE, "/", root, keeper)
    assert not archive_allowed("d" * 64, "/run/mcp", files, delivery)
    for path in ("/", "/etc", "/run/mcp/..", "/run", ""):
        assert not archive_allowed(HELPER, path, files, delivery)
    for entries in (
        [("files", None), ("files/OTHER", b"")],
        [("files", None), ("files/../../etc/passwd", b"")],
        [("files/CREDS", b"")],
        [("data", None), ("data/x", b"")],
        [("files", None), ("files/CREDS", b""), ("files/CREDS", b"")],
        [],
    ):
        assert not archive_allowed(HELPER, "/run/mcp", archive(entries, OWNER), delivery)
        assert not archive_allowed(HELPER, "/", archive(entries, OWNER), keeper)
    assert not archive_allowed(HELPER, "/", archive([("data", None)], (0, 0)), keeper)
    assert not archive_allowed(HELPER, "/", b"nonsense", keeper)


ACTIONS: list[tuple[str, str, dict[str, str]]] = [
    ("DELETE", "", REMOVED),
    ("POST", "/start", {}),
    ("POST", "/wait", {}),
    ("POST", "/stop", {"t": "10"}),
    ("POST", "/attach", ATTACHED),
    ("GET", "/stats", MEASURED),
    ("GET", "/logs", {"stdout": "1", "stderr": "1", "tail": "40", "follow": "0"}),
]


@pytest.mark.parametrize(("method", "action", "query"), ACTIONS)
def test_an_instance_is_acted_on_and_nothing_else(method: str, action: str, query: dict[str, str]) -> None:
    seen = replace(known("memory"), containers=frozenset({"d" * 64}), edges=frozenset({"e" * 64}))
    check(Request(method=method, path=f"/containers/{INSTANCE}{action}", query=query), seen, "s")
    for identity in ("d" * 64, "e" * 64, "f" * 64, "mcp-s-gateway-control", INSTANCE[:12], f"{INSTANCE}/../{'d' * 64}"):
        with pytest.raises(Refused):
            check(Request(method=method, path=f"/containers/{identity}{action}", query=query), seen, "s")
    with pytest.raises(Refused):
        check(Request(method=method, path=f"/containers/{INSTANCE}{action}", query={**query, "more": "1"}), seen, "s")
    with pytest.raises(Refused):
        check(Request(method=method, path=f"/containers/{INSTANCE}{action}", query=query, body={}), seen, "s")


@pytest.mark.parametrize(("method", "action"), [("POST", "/start"), ("POST", "/attach"), ("POST", "/wait")])
def test_what_never_runs_is_never_started(method: str, action: str) -> None:
    query = ATTACHED if action == "/attach" else {}
    with pytest.raises(Refused):
        check(Request(method=method, path=f"/containers/{HELPER}{action}", query=query), known("memory"), "s")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/containers/{INSTANCE}/exec"),
        ("POST", f"/containers/{INSTANCE}/update"),
        ("POST", f"/containers/{INSTANCE}/rename"),
        ("POST", f"/containers/{INSTANCE}/restart"),
        ("GET", f"/containers/{INSTANCE}/export"),
        ("GET", f"/containers/{INSTANCE}/archive"),
        ("POST", "/commit"),
        ("POST", "/images/create"),
        ("POST", "/build"),
        ("DELETE", f"/networks/{'d' * 64}"),
        ("DELETE", "/volumes/mcp-s-gateway-keys"),
        ("DELETE", "/volumes/../containers/x"),
        ("POST", "/containers/prune"),
        ("POST", "/volumes/prune"),
    ],
)
def test_nothing_else_is_done_to_an_instance(method: str, path: str) -> None:
    for query in ({}, {"path": "/data"}, {"name": "x"}):
        with pytest.raises(Refused):
            check(Request(method=method, path=path, query=query), known("memory"), "s")


def test_an_instances_network_and_volume_may_be_removed() -> None:
    seen = known("memory")
    volume = next(iter(seen.volumes))
    check(Request(method="DELETE", path=f"/networks/{NETWORK}"), seen, "s")
    check(Request(method="DELETE", path=f"/volumes/{volume}"), seen, "s")
    with pytest.raises(Refused):
        check(Request(method="DELETE", path=f"/volumes/{volume}", query={"force": "1"}), seen, "s")


pieces = st.lists(st.text("ab", max_size=3) | st.just(Placeholder("user:X")), max_size=5).map(tuple)


@settings(max_examples=300, deadline=None)
@given(pieces, st.data())
def test_a_filled_text_fits_and_another_does_not(words: tuple[str | Placeholder, ...], data: st.DataObject) -> None:
    filled = "".join(word if isinstance(word, str) else data.draw(st.text("abc", max_size=4)) for word in words)
    assert fits(words, filled)
    literal = [word for word in words if isinstance(word, str)]
    if len(literal) == len(words):
        assert not fits(words, filled + "c")
    elif isinstance(words[0], str) and words[0]:
        assert not fits(words, "c" + filled)
