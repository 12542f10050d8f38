"""Redirect URIs of native apps: what a stack may list is what the gateway takes, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.documents.gateway import parse_gateway_document
from mcp_gateway.documents.native_redirect_uris import TAKEN_SCHEMES as REFUSED_BY_THE_GATEWAY
from mcp_gateway.documents.native_redirect_uris import native_redirect_uri_problem

from components.config.native_redirect_uris import TAKEN_SCHEMES, native_redirect_uri
from components.render.gateway import gateway_document
from tests.contract.test_rendered_documents import filled
from tests.render.stack import full

CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"


def accepted(uri: str) -> bool:
    try:
        return native_redirect_uri(uri) == uri
    except ValueError:
        return False


def test_the_list_arrives_as_the_stack_says_it() -> None:
    plan = full()
    read = parse_gateway_document(json.dumps(filled(gateway_document(plan))).encode())
    assert read.registration.native_redirect_uris == ()
    registration = replace(plan.gateway.registration, native_redirect_uris=(CURSOR,))
    plan = replace(plan, gateway=replace(plan.gateway, registration=registration))
    read = parse_gateway_document(json.dumps(filled(gateway_document(plan))).encode())
    assert read.registration.native_redirect_uris == (CURSOR,)


@pytest.mark.parametrize("scheme", sorted(TAKEN_SCHEMES | REFUSED_BY_THE_GATEWAY))
def test_both_sides_refuse_the_same_schemes(scheme: str) -> None:
    assert not accepted(f"{scheme}://host/cb")
    assert native_redirect_uri_problem(f"{scheme}://host/cb")


PARTS = st.sampled_from(
    ["cursor", "a.b+c-d", "C", "javascript", ":", "/", "//", "host", "@", "#", "*", "?q=1", ":80", " "]
)


@given(st.lists(PARTS, max_size=8).map("".join) | st.text(max_size=30))
def test_both_sides_agree(uri: str) -> None:
    assert accepted(uri) == (native_redirect_uri_problem(uri) is None)
