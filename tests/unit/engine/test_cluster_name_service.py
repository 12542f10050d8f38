"""The name service's answers: only one to the question asked, without an error and with a record, counts."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cluster import name_service

ASKED = name_service.query(name_service.NAME, 0x1234)


def reply(number: int = 0x1234, flags: int = 0x8180, records: int = 1) -> bytes:
    return struct.pack(">6H", number, flags, 1, records, 0, 0) + ASKED[12:]


def test_the_question_holds_the_name_in_labels_and_asks_for_addresses() -> None:
    assert ASKED[12:].startswith(b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00")
    assert ASKED[-4:] == b"\x00\x01\x00\x01"


def test_a_record_is_an_answer() -> None:
    assert name_service.answered(ASKED, reply())


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(number=0x4321), id="another question's"),
        pytest.param(reply(flags=0x8183), id="no such name"),
        pytest.param(reply(flags=0x8182), id="server failed"),
        pytest.param(reply(records=0), id="no record"),
        pytest.param(ASKED, id="the question itself"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_all_else_is_none(answer: bytes) -> None:
    assert not name_service.answered(ASKED, answer)


@given(st.binary(max_size=64))
def test_no_answer_is_too_odd_to_be_read(answer: bytes) -> None:
    name_service.answered(ASKED, answer)
