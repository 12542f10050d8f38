"""Every server has a subnet and a uid that no other has, and keeps them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config.stack import InstancesConfig
from components.errors import Problems
from components.hardening import FIRST_SERVER_UID, SERVER_UIDS
from components.plan.addresses import capacity, instances, places, slots

IDS = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", fullmatch=True), unique=True, max_size=30)


@settings(deadline=None)
@given(IDS)
def test_no_two_servers_share_a_subnet_or_a_uid(servers: list[str]) -> None:
    found = places(servers, stack="s", subnets="10.201.0.0/23")
    assert set(found) == set(servers)
    assert len({place.uid for place in found.values()}) == len(servers)
    assert len({place.subnet for place in found.values()}) == len(servers)
    for place in found.values():
        subnet = ipaddress.IPv4Network(place.subnet)
        assert subnet.subnet_of(ipaddress.IPv4Network("10.201.0.0/24")), "the lower half"
        assert place.subnet != "10.201.0.0/29", "the gateway's"
        assert {ipaddress.IPv4Address(text) in subnet for text in (place.address, place.edge_address)} == {True}
        assert FIRST_SERVER_UID <= place.uid < FIRST_SERVER_UID + SERVER_UIDS


@settings(deadline=None)
@given(IDS, st.from_regex(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", fullmatch=True))
def test_a_server_that_is_added_moves_no_other(servers: list[str], added: str) -> None:
    before = slots(servers, 64)
    after = slots([*(server for server in servers if server != added), added], 64)
    if added not in servers:
        assert {server: after[server] for server in servers} == before


def test_a_full_range_is_refused() -> None:
    assert capacity("10.0.0.0/26") == 4
    places([f"s{n}" for n in range(3)], stack="s", subnets="10.0.0.0/26")
    with pytest.raises(Problems, match="room for 3 servers in its lower half, and there are 4"):
        places([f"s{n}" for n in range(4)], stack="s", subnets="10.0.0.0/26")


@settings(deadline=None)
@given(st.integers(8, 26), IDS.filter(bool))
def test_servers_and_instances_never_meet(length: int, servers: list[str]) -> None:
    subnets = str(ipaddress.IPv4Network(f"10.0.0.0/{length}"))
    servers = servers[: capacity(subnets) - 1]
    bounds = instances(InstancesConfig(total=1), subnets=subnets, needed=True)
    upper = ipaddress.IPv4Network(bounds.range)
    uids = range(bounds.first_uid, bounds.first_uid + bounds.uids)
    for place in places(servers, stack="s", subnets=subnets).values():
        assert not ipaddress.IPv4Network(place.subnet).overlaps(upper)
        assert place.uid not in uids
    assert upper.subnet_of(ipaddress.IPv4Network(subnets))
    assert upper.num_addresses * 2 == ipaddress.IPv4Network(subnets).num_addresses


def test_a_range_without_room_for_the_instances_is_refused_where_there_are_any() -> None:
    config = InstancesConfig(total=5)
    assert instances(config, subnets="10.0.0.0/26", needed=False).range == "10.0.0.32/27"
    with pytest.raises(Problems, match=r"room for 4 instances in its upper half, and instances\.total is 5"):
        instances(config, subnets="10.0.0.0/26", needed=True)
    instances(InstancesConfig(total=4), subnets="10.0.0.0/26", needed=True)


def test_bounds_of_one_user_and_of_starts_are_within_the_total() -> None:
    found = instances(InstancesConfig(total=3), subnets="10.201.0.0/16", needed=True)
    assert (found.total, found.per_user, found.starts_at_once) == (3, 3, 3)
