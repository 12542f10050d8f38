"""No form of a sensitive value is left in what is shown of an instance's output."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.instances.masking import MASK, Masking, last_lines

# What masks is no part of a value: a value made of it would be in every masked text.
characters = st.characters(exclude_characters=MASK, exclude_categories=["Cs"])
values = st.text(characters, min_size=4, max_size=30).filter(lambda text: len(text.strip()) >= 4)
texts = st.text(characters, max_size=40)


@given(st.lists(values, min_size=1, max_size=3), st.lists(texts, min_size=2, max_size=6), st.data())
def test_no_form_of_a_value_is_left(secrets: list[str], between: list[str], data: st.DataObject) -> None:
    forms = [
        form
        for secret in secrets
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(secret, safe=""),
            quote_plus(secret),
            base64.b64encode(secret.encode()).decode().rstrip("="),
            base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
        )
    ]
    text = "".join(part + data.draw(st.sampled_from(forms)) for part in between)
    masked = Masking(secrets).mask(text)
    assert MASK in masked
    assert not [form for form in forms if form in masked]


@given(values.filter(lambda secret: len(secret.encode()) >= 8), st.text(st.characters(codec="ascii"), max_size=7))
def test_a_value_inside_basic_credentials_is_hidden(secret: str, name: str) -> None:
    written = base64.b64encode(f"{name}:{secret}".encode()).decode()
    masked = Masking([secret]).mask(f"Authorization: Basic {written}")
    left = masked.removeprefix("Authorization: Basic ").split(MASK)
    assert len(left) > 1
    # At most what shares a group of base64 with its neighbours is left of it.
    assert len(left[-1].rstrip("=")) <= 3


@given(texts)
def test_what_holds_no_value_stays_as_it_is(text: str) -> None:
    assert Masking([]).mask(text) == text
    assert Masking(["abc", ""]).mask(text) == text


@given(st.lists(texts, max_size=8), values, st.integers(0, 60))
def test_what_is_cut_was_masked_before(lines: list[str], secret: str, most: int) -> None:
    shown = last_lines([*lines, secret], Masking([secret]), most)
    assert len("\n".join(shown).encode()) <= most
    assert secret not in "\n".join(shown)


def test_each_line_of_a_file_is_hidden() -> None:
    masking = Masking(["-----BEGIN KEY-----\nabcdefgh\nijklmnop\n-----END KEY-----\n"])
    assert masking.mask("read ijklmnop and abcdefgh") == f"read {MASK} and {MASK}"


def test_a_value_that_overlaps_another_leaves_nothing() -> None:
    assert Masking(["abcdef", "defghi"]).mask("abcdefghi") == MASK
