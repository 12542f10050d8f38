"""Every server has a subnet and a uid that no other has, and keeps them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import Problems
from components.hardening import FIRST_SERVER_UID, SERVER_UIDS
from components.plan.addresses import capacity, places, slots

IDS = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", fullmatch=True), unique=True, max_size=30)


@given(IDS)
def test_no_two_servers_share_a_subnet_or_a_uid(servers: list[str]) -> None:
    found = places(servers, stack="s", subnets="10.201.0.0/24")
    assert set(found) == set(servers)
    assert len({place.uid for place in found.values()}) == len(servers)
    assert len({place.subnet for place in found.values()}) == len(servers)
    for place in found.values():
        subnet = ipaddress.IPv4Network(place.subnet)
        assert subnet.subnet_of(ipaddress.IPv4Network("10.201.0.0/24"))
        assert place.subnet != "10.201.0.0/29", "the gateway's"
        assert {ipaddress.IPv4Address(text) in subnet for text in (place.address, place.edge_address)} == {True}
        assert FIRST_SERVER_UID <= place.uid < FIRST_SERVER_UID + SERVER_UIDS


@given(IDS, st.from_regex(r"[a-z][a-z0-9-]{0,12}[a-z0-9]", fullmatch=True))
def test_a_server_that_is_added_moves_no_other(servers: list[str], added: str) -> None:
    before = slots(servers, 64)
    after = slots([*(server for server in servers if server != added), added], 64)
    if added not in servers:
        assert {server: after[server] for server in servers} == before


def test_a_full_range_is_refused() -> None:
    assert capacity("10.0.0.0/26") == 8
    places([f"s{n}" for n in range(7)], stack="s", subnets="10.0.0.0/26")
    with pytest.raises(Problems, match="room for 7 servers, and there are 8"):
        places([f"s{n}" for n in range(8)], stack="s", subnets="10.0.0.0/26")
