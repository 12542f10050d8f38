"""No secret in a text for people, not even a part of one."""

from __future__ import annotations

import json

import pytest
from docker_provider.masking import masked, shows


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("hunter2", "wrong password hunter2!", "wrong password [secret]!"),
        ("first-line\nsecond-line", "saw second-line", "saw [secret]"),
        ("TOKEN=hunter2", "wrong password hunter2", "wrong password [secret]"),
        (json.dumps({"a": [{"key": "hunter2-hunter2"}]}), "got hunter2-hunter2", "got [secret]"),
        (json.dumps({"h": "Bearer abcdefghij"}), "header abcdefghij refused", "header [secret] refused"),
        ("on", "carry on", "carry on"),
        ("{not json hunter2", "{not json", "{not json"),
    ],
)
def test_what_is_masked(secret: str, text: str, expected: str) -> None:
    assert masked(text, [secret]) == expected


def test_the_longest_goes_first() -> None:
    assert masked("hunter2-and-more", ["hunter2", "hunter2-and-more"]) == "[secret]"


def test_an_output_that_shows_a_secret_is_noticed() -> None:
    assert shows({"logs": ['the token is hunter2-"quoted"']}, ['hunter2-"quoted"'])
    assert not shows({"logs": "carry on"}, ["on"])
