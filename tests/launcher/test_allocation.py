"""Places and uids: within their range, never two of the same, and the same again when nothing is in the way."""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher.allocation import places, uid
from mcp_launcher.inventory import Look
from mcp_launcher.owned import DATA, Key, Owned, labels
from mcp_launcher.placement import Placement
from mcp_launcher.state import State
from mcp_launcher.templates import parse

from tests.launcher.documents import document, encoded, server

RANGE = IPv4Network("10.213.128.0/24")
keys = st.builds(Key, st.sampled_from(["memory", "time"]), st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True))
blocks = st.integers(24, 30).flatmap(
    lambda length: st.integers(0, 2 ** (length - 16) - 1).map(
        lambda slot: IPv4Network((int(IPv4Address("10.213.0.0")) + slot * 2 ** (32 - length), length))
    )
)


@settings(deadline=None)
@given(keys, st.lists(blocks, max_size=12))
def test_every_free_place_is_offered_once_and_no_other(key: Key, used: list[IPv4Network]) -> None:
    found = [place.subnet for place in places(RANGE, key, used)]
    free = [block for block in RANGE.subnets(new_prefix=29) if not any(block.overlaps(each) for each in used)]
    assert sorted(found) == free


@settings(deadline=None)
@given(keys, st.lists(blocks, max_size=12))
def test_addresses_of_a_place_are_its_own(key: Key, used: list[IPv4Network]) -> None:
    for place in places(RANGE, key, used):
        first = int(place.subnet.network_address)
        assert [int(IPv4Address(each)) - first for each in (place.gateway, place.address, place.edge_address)] == [
            1,
            2,
            3,
        ]


@settings(deadline=None)
@given(keys)
def test_a_key_prefers_the_same_place(key: Key) -> None:
    assert next(places(RANGE, key, ())) == next(places(RANGE, key, ()))


@settings(deadline=None)
@given(keys, st.sets(st.integers(29_990, 30_020)))
def test_a_uid_is_in_its_range_and_nobody_elses(key: Key, used: set[int]) -> None:
    found = uid(30_000, 10, key, used)
    if found is None:
        assert set(range(30_000, 30_010)) <= used
    else:
        assert 30_000 <= found < 30_010
        assert found not in used


TEMPLATES = parse(encoded(document(server())))
TEMPLATE = TEMPLATES.servers["memory"]


@settings(deadline=None)
@given(st.lists(keys, unique=True, max_size=20))
def test_those_that_start_at_once_share_neither_place_nor_uid(some: list[Key]) -> None:
    placement = Placement()
    found = [next(placement.places(TEMPLATES, key)).subnet for key in some]
    owners = [placement.owner(TEMPLATES, TEMPLATE, key) for key in some]
    assert len(set(found)) == len(some)
    assert len(set(owners)) == len(some)


def test_files_keep_their_uid_whatever_the_range() -> None:
    key = Key("memory", "alice")
    volume = Owned(id="v", name="v", key=key, role=DATA, labels=labels("s", key, DATA, uid="45678"))
    placement = Placement()
    placement.saw(Look(state=State(containers=(), networks=()), volumes={key: volume}))
    assert placement.owner(TEMPLATES, TEMPLATE, key) == (45_678, 45_678)
    assert placement.owner(TEMPLATES, TEMPLATE, Key("memory", "bob")) != (45_678, 45_678)


def test_a_place_that_is_refused_is_not_offered_again_and_one_given_back_is_once_it_has_rested() -> None:
    now = 100.0
    placement, key = Placement(lambda: now), Key("memory", "alice")
    offered = [place.subnet for place in placement.places(TEMPLATES, key)]
    assert len(offered) == len(set(offered)) == 32
    first = next(placement.places(TEMPLATES, key)).subnet
    other = Key("time", "bob")
    assert first not in [place.subnet for place in placement.places(TEMPLATES, other)]
    placement.release(key)
    assert first not in [place.subnet for place in placement.places(TEMPLATES, other)]
    now += 59
    assert first not in [place.subnet for place in placement.places(TEMPLATES, other)]
    assert first == next(placement.places(TEMPLATES, key)).subnet, "its own user may come back to it at once"
    placement.release(key)
    now += 61
    assert first in [place.subnet for place in placement.places(TEMPLATES, other)]


def test_the_place_of_an_instance_that_vanished_rests_too() -> None:
    now = 100.0
    placement, key = Placement(lambda: now), Key("memory", "alice")
    first = next(Placement().places(TEMPLATES, key)).subnet
    placement.saw(Look(state=State(containers=(), networks=()), subnets=(first,)))
    placement.saw(Look(state=State(containers=(), networks=())))
    assert first not in [place.subnet for place in placement.places(TEMPLATES, key)]
    now += 61
    assert first in [place.subnet for place in placement.places(TEMPLATES, key)]
