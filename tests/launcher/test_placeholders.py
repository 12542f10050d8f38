"""Filling in a user's values: what is left out, what is refused, and that no message holds a value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_launcher.placeholders import Unfillable, fill
from mcp_launcher.templates import Template, parse

from tests.launcher.documents import document, encoded, own_http, server

ALL = {"user:REGION": "eu", "user:API_KEY": "k", "secret:TEAM": "blue", "user:CREDS": "c"}


def template(bridged: bool = True) -> Template:
    return next(iter(parse(encoded(document(server() if bridged else own_http()))).servers.values()))


def test_values_are_put_in_their_places() -> None:
    found = fill(template(), ALL)
    assert found.command == ("/app/bin/server", "--region=eu")
    assert found.env == {"MEMORY_FILE_PATH": "/data/memory.json", "CREDS": "/run/mcp/files/CREDS"}
    assert found.secret_env == {"API_KEY": "k", "TEAM": "team-blue"}
    assert found.files == {"CREDS": "c"}


def test_a_variable_or_file_without_its_value_is_left_out_with_the_files_path() -> None:
    found = fill(template(), {"user:REGION": "eu"})
    assert found.env == {"MEMORY_FILE_PATH": "/data/memory.json"}
    assert (found.secret_env, found.files) == ({}, {})


@pytest.mark.parametrize("bridged", [True, False])
def test_a_word_without_its_value_is_refused_by_name(bridged: bool) -> None:
    with pytest.raises(Unfillable, match="user:REGION"):
        fill(template(bridged), {"user:API_KEY": "k"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user:OTHER", "hunter2"),
        ("user:REGION", "hunter2\0"),
        ("user:CREDS", "hunter2\0"),
        ("user:CREDS", "hunter2\ud800"),
        ("user:API_KEY", "hunter2" * 20_000),
    ],
)
def test_a_value_that_has_no_place_or_can_not_be_carried_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Unfillable, match=name) as raised:
        fill(template(), {**ALL, name: value})
    assert "hunter2" not in str(raised.value)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(ALL)), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    )
)
def test_each_value_stands_where_the_template_says_and_nowhere_else(values: dict[str, str]) -> None:
    values = {"user:REGION": "eu"} | values
    found = fill(template(), values)
    assert found.secret_env.get("API_KEY") == values.get("user:API_KEY")
    assert found.files.get("CREDS") == values.get("user:CREDS")
    assert ("CREDS" in found.env) == ("user:CREDS" in values)
    assert found.command == ("/app/bin/server", f"--region={values['user:REGION']}")
