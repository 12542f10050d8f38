"""What the launcher decides, from what it sees."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher.decision import (
    GRACE_SECONDS,
    Action,
    Connect,
    Disconnect,
    LimitProcesses,
    current_edge,
    decide,
    next_change,
)
from mcp_launcher.state import Container, Network, State, empty_networks

NOW = 1000.0
NETWORK = Network(id="n" * 64, name="mcp-s-time", edge_address="10.201.0.3")


def container(
    name: str,
    role: str = "server",
    *,
    state: str = "running",
    created: int = 1,
    on: Mapping[str, str] | None = None,
    processes: int | None = None,
) -> Container:
    return Container(
        id=name, name=name, role=role, state=state, created=created, addresses=dict(on or {}), processes=processes
    )


EDGE = container("edge", "edge")
JOINED_EDGE = container("edge", "edge", on={NETWORK.id: NETWORK.edge_address})
SERVER = container("time", on={NETWORK.id: "10.201.0.2"})


def state(*containers: Container, empty_for: float | None = None, limits: Mapping[str, int] | None = None) -> State:
    return State(
        containers=containers,
        networks=(NETWORK,),
        pids_limits=dict(limits or {}),
        empty_since={} if empty_for is None else {NETWORK.id: NOW - empty_for},
    )


def test_edge_joins_a_network_that_has_a_server() -> None:
    assert decide(state(EDGE, SERVER), NOW) == [Connect(edge=EDGE, network=NETWORK)]


def test_edge_that_has_joined_is_left_alone() -> None:
    assert decide(state(JOINED_EDGE, SERVER), NOW) == []


def test_server_that_was_created_but_never_started_counts() -> None:
    by_name = container("time", state="created", on={NETWORK.name: "10.201.0.2"})
    assert decide(state(EDGE, by_name), NOW) == [Connect(edge=EDGE, network=NETWORK)]


@pytest.mark.parametrize("crashed", ["exited", "restarting", "paused"])
def test_crash_of_a_server_moves_nothing(crashed: str) -> None:
    assert decide(state(JOINED_EDGE, replace(SERVER, state=crashed)), NOW) == []


def test_network_without_a_server_is_not_joined() -> None:
    assert decide(state(EDGE, empty_for=0), NOW) == []
    assert decide(state(EDGE, empty_for=100), NOW) == []


def test_edge_stays_for_the_grace_and_then_leaves() -> None:
    assert decide(state(JOINED_EDGE, empty_for=GRACE_SECONDS - 0.1), NOW) == []
    assert decide(state(JOINED_EDGE, empty_for=GRACE_SECONDS), NOW) == [Disconnect(edge=JOINED_EDGE, network=NETWORK)]


def test_container_that_is_being_removed_no_longer_counts() -> None:
    leaving = state(JOINED_EDGE, replace(SERVER, state="removing"), empty_for=GRACE_SECONDS)
    assert decide(leaving, NOW) == [Disconnect(edge=JOINED_EDGE, network=NETWORK)]


def test_edge_at_a_wrong_address_is_moved() -> None:
    misplaced = container("edge", "edge", on={NETWORK.id: "10.201.0.4"})
    assert decide(state(misplaced, SERVER), NOW) == [
        Disconnect(edge=misplaced, network=NETWORK),
        Connect(edge=misplaced, network=NETWORK),
    ]


def test_new_edge_takes_the_place_of_an_old_one() -> None:
    new = container("edge2", "edge", created=2)
    assert decide(state(JOINED_EDGE, new, SERVER), NOW) == [
        Disconnect(edge=JOINED_EDGE, network=NETWORK),
        Connect(edge=new, network=NETWORK),
    ]


def test_running_edge_keeps_its_place_until_the_new_one_runs() -> None:
    new = container("edge2", "edge", created=2, state="created")
    assert decide(state(JOINED_EDGE, new, SERVER), NOW) == []
    assert current_edge([JOINED_EDGE, new]) == JOINED_EDGE


def test_network_made_anew_under_its_name_is_another_network() -> None:
    stale = container("edge", "edge", on={"o" * 64: NETWORK.edge_address})
    assert decide(state(stale, SERVER), NOW) == [Connect(edge=stale, network=NETWORK)]


def test_limit_follows_the_label() -> None:
    labelled = container("time", on=SERVER.addresses, processes=64)
    assert decide(state(JOINED_EDGE, labelled, limits={"time": 0}), NOW) == [
        LimitProcesses(container=labelled, limit=64)
    ]
    assert decide(state(JOINED_EDGE, labelled, limits={"time": 64}), NOW) == []


def test_next_look_is_when_a_grace_runs_out() -> None:
    assert next_change(state(JOINED_EDGE, empty_for=1.0), NOW) == pytest.approx(GRACE_SECONDS - 1.0)
    assert next_change(state(JOINED_EDGE, SERVER), NOW) is None
    assert next_change(state(EDGE, empty_for=1.0), NOW) is None


def test_network_counts_as_empty_from_the_first_look_that_found_it_so() -> None:
    first = empty_networks(state(JOINED_EDGE), {}, NOW)
    assert empty_networks(state(JOINED_EDGE), first, NOW + 5) == {NETWORK.id: NOW}
    assert empty_networks(state(JOINED_EDGE, SERVER), first, NOW + 6) == {}


def apply(observed: State, actions: list[Action]) -> State:
    """What the engine would show once the actions were carried out."""
    containers = {found.id: found for found in observed.containers}
    limits = dict(observed.pids_limits)
    for action in actions:
        match action:
            case Connect(edge=edge, network=network):
                joined = dict(containers[edge.id].addresses) | {network.id: network.edge_address}
                containers[edge.id] = replace(containers[edge.id], addresses=joined)
            case Disconnect(edge=edge, network=network):
                left = {
                    key: value
                    for key, value in containers[edge.id].addresses.items()
                    if key not in (network.id, network.name)
                }
                containers[edge.id] = replace(containers[edge.id], addresses=left)
            case LimitProcesses(container=limited, limit=limit):
                limits[limited.id] = limit
    return replace(observed, containers=tuple(containers.values()), pids_limits=limits)


NETWORKS = tuple(
    Network(id=letter * 64, name=f"mcp-s-{letter}", edge_address=f"10.201.0.{index * 8 + 3}")
    for index, letter in enumerate("abc")
)
containers = st.builds(
    Container,
    id=st.uuids().map(str),
    name=st.just("x"),
    role=st.sampled_from(["edge", "server", "control"]),
    state=st.sampled_from(["created", "running", "exited", "restarting", "removing", "dead"]),
    created=st.integers(0, 3),
    addresses=st.dictionaries(
        st.sampled_from([key for network in NETWORKS for key in (network.id, network.name)]),
        st.sampled_from(["", "10.201.0.3", "10.201.0.11", "10.201.0.99"]),
    ),
    processes=st.none() | st.integers(1, 9),
)


@settings(deadline=None)
@given(
    st.lists(containers, max_size=6),
    st.dictionaries(st.sampled_from([network.id for network in NETWORKS]), st.sampled_from([NOW, NOW - 60])),
)
def test_one_round_settles_and_touches_edges_only(found: list[Container], empty_since: dict[str, float]) -> None:
    observed = State(
        containers=tuple(found),
        networks=NETWORKS,
        pids_limits={one.id: 0 for one in found},
        empty_since=empty_since,
    )
    actions = decide(observed, NOW)
    for action in actions:
        if isinstance(action, Connect | Disconnect):
            assert action.edge.role == "edge"
    assert decide(apply(observed, actions), NOW) == []
