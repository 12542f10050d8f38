"""Server-sent events, there and back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_wire.sse import KEEP_ALIVE, Decoder, Event, encode, encode_message

FIELD = st.binary(max_size=8).map(lambda value: bytes(byte for byte in value if byte not in b"\r\n\0"))
DATA = st.text(max_size=20).map(lambda text: text.replace("\r", "").encode())
EVENTS = st.builds(Event, DATA, FIELD, st.none() | FIELD.filter(bool))


@given(
    st.lists(EVENTS, max_size=4), st.lists(st.integers(0, 200), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"])
)
def test_events_survive_any_cut_and_any_line_ending(events: list[Event], cuts: list[int], ending: bytes) -> None:
    stream = KEEP_ALIVE.join([b"", *(encode(event) for event in events)]).replace(b"\n", ending)
    decoder = Decoder()
    points = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    seen = [event for a, b in pairwise(points) for event in decoder.feed(stream[a:b])]
    assert seen == events


def test_one_message_is_one_event() -> None:
    assert Decoder().feed(encode_message(b'{"a":1}')) == [Event(b'{"a":1}', b"message")]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data\n\n", [Event(b"")]),
        (b"data:a\ndata: b\ndata:  c\n\n", [Event(b"a\nb\n c")]),
        (b"event: x\n\ndata: a\n\n", [Event(b"a")]),
        (b": only a comment\n\n", []),
        (b"retry: 5\nunknown: x\nid: a\0b\ndata: d\n\n", [Event(b"d")]),
        (b"\xef\xbb\xbfdata: bom\n\n", [Event(b"bom")]),
        (b"data: unfinished", []),
    ],
)
def test_the_standards_corner_cases(stream: bytes, events: list[Event]) -> None:
    assert Decoder().feed(stream) == events


def test_an_event_without_end_is_refused() -> None:
    for chunk in (b"x" * 40, b"data: x\n" * 5):
        decoder = Decoder(100)
        decoder.feed(chunk)
        decoder.feed(chunk)
        with pytest.raises(ValueError, match="100 bytes"):
            decoder.feed(chunk)


def test_fields_cannot_be_forged() -> None:
    for event in (Event(b"a", b"x\ndata: y"), Event(b"a", b"", b"1\r2")):
        with pytest.raises(ValueError, match="line break"):
            encode(event)
    assert Decoder().feed(encode(Event(b"a\rb\r\n\nevent: z"))) == [Event(b"a\nb\n\nevent: z")]
