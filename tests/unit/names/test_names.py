from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import names

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
TEXTS = st.one_of(st.text(), st.from_regex(r"[a-zA-Z0-9 _.-]{0,80}", fullmatch=True))


@given(TEXTS)
def test_every_text_gives_a_valid_label(text: str) -> None:
    assert LABEL.fullmatch(names.slug(text))
    assert LABEL.fullmatch(names.server_id(text))
    assert len(names.server_id(text)) <= names.SERVER_ID_LENGTH
    assert LABEL.fullmatch(names.resource(text, names.server_id(text)))


@given(TEXTS, TEXTS)
def test_different_texts_never_give_one_slug(one: str, other: str) -> None:
    assert (names.slug(one) == names.slug(other)) == (one == other)


@given(TEXTS)
def test_a_slug_cannot_be_imitated(text: str) -> None:
    slug = names.slug(text)
    assert slug == text or names.slug(slug) != slug


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("acme-tickets", "acme-tickets"),
        ("Acme Tickets", "acme-tickets"),
        ("Time", "time"),
        ("a_b", "a-b"),
    ],
)
def test_a_tidy_name_stays_readable(key: str, expected: str) -> None:
    assert names.server_id(key) == expected


@pytest.mark.parametrize("key", ["Fixture, remote", "Größe", "a.b", "-a", "a--b", "x" * 41, "日本", ""])
def test_any_other_name_ends_in_a_digest(key: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+--[0-9a-f]{10}", names.server_id(key))


def test_containers_are_named_by_stack_and_part() -> None:
    assert names.resource("quickstart", "time") == "mcp-quickstart-time"
    assert names.resource("quickstart", names.server_id("a.b")) == f"mcp-quickstart-{names.server_id('a.b')}"


@pytest.mark.parametrize("identifier", ["gateway", "gateway-edge", "gateway-anything"])
def test_the_gateways_names_are_reserved(identifier: str) -> None:
    assert names.is_reserved(identifier)
    assert not names.is_reserved("gateways")
