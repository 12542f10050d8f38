"""Property values over the wire: nothing is lost, no secret is laid open."""

from __future__ import annotations

from typing import Any

from docker_provider.properties import UNKNOWN, Secret, decode, encode, has_unknown, plain, resecret, secret_texts
from hypothesis import given
from hypothesis import strategies as st

SCALARS = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.text(), st.just(UNKNOWN))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3), inner.map(Secret)
    ),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=4)


@given(PROPERTIES)
def test_values_survive_the_wire(properties: dict[str, Any]) -> None:
    assert decode(encode(properties)) == properties


@given(PROPERTIES)
def test_an_echo_is_as_secret_as_what_it_echoes(properties: dict[str, Any]) -> None:
    echoed = resecret(plain(properties), properties)
    assert set(secret_texts(echoed)) == set(secret_texts(properties))
    assert plain(echoed) == plain(properties)


def test_a_list_that_changed_its_length_is_secret_as_a_whole() -> None:
    assert resecret(["b"], ["a", Secret("b")]) == Secret(["b"])


def test_unknown_is_found_however_deep() -> None:
    assert has_unknown({"a": [Secret({"b": UNKNOWN})]})
    assert not has_unknown({"a": [Secret({"b": "c"})]})


def test_a_secret_does_not_show_itself() -> None:
    assert "hunter2" not in repr({"a": [Secret("hunter2")]})
