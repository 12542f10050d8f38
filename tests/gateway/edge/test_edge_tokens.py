"""Who may call: tokens, audiences, scopes, and that a refused call never reaches a server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway.edge.edge_world import HOST, ISSUER, Reply, Signer, World, b64
from tests.gateway.rules import rule

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
BODY = json.dumps(PING).encode()
JSON = {"Content-Type": "application/json"}


def challenge(reply: Reply) -> dict[str, str]:
    header = reply.headers["WWW-Authenticate"]
    assert header.startswith("Bearer ")
    return dict(re.findall(r'(\w+)="([^"]*)"', header))


@rule(3, 5, 7, 8, 71)
def test_a_call_without_a_token_is_told_where_to_sign_in(world: World) -> None:
    reply = world.request("POST", "/mcp-connect/time", BODY, JSON)
    assert reply.status == 401
    assert challenge(reply) == {
        "resource_metadata": f"{ISSUER}/.well-known/oauth-protected-resource/mcp-connect/time",
        "scope": "mcp",
    }
    assert world.upstream.requests == []


@rule(12)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_every_request_needs_its_token_also_within_a_session(world: World, method: str) -> None:
    reply = world.request(method, "/mcp-connect/time", headers={"Mcp-Session-Id": "anything", **JSON})
    assert reply.status == 401
    assert "error" not in challenge(reply)


@rule(13, 19)
def test_a_token_in_the_query_is_no_token(world: World) -> None:
    reply = world.request("POST", f"/mcp-connect/time?access_token={world.token()}", BODY, JSON)
    assert reply.status == 401
    assert world.upstream.requests == []


@rule(13)
@pytest.mark.parametrize("scheme", ["Basic", "DPoP", "Token", ""])
def test_only_the_bearer_scheme_counts(world: World, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {world.token()}".strip(), **JSON}
    assert world.request("POST", "/mcp-connect/time", BODY, headers).status == 401


def test_the_bearer_scheme_is_caseless(world: World) -> None:
    headers = {"Authorization": f"bEARER {world.token()}", **JSON}
    assert world.request("POST", "/mcp-connect/time", BODY, headers).status == 200


def signed(world: World, header: dict[str, Any], **claims: Any) -> str:
    return world.signer.sign({"alg": "ES256", "typ": "at+jwt", "kid": "k1", **header}, world.claims(**claims))


def unsigned(world: World) -> str:
    parts = ({"alg": "none", "typ": "at+jwt", "kid": "k1"}, world.claims())
    return ".".join(b64(json.dumps(part).encode()) for part in parts) + "."


def hmac_with_public_key(world: World) -> str:
    parts = ({"alg": "HS256", "typ": "at+jwt", "kid": "k1"}, world.claims())
    text = ".".join(b64(json.dumps(part).encode()) for part in parts)
    key = json.dumps(world.signer.jwk()).encode()
    return f"{text}.{b64(hmac.digest(key, text.encode(), hashlib.sha256))}"


def tampered(world: World) -> str:
    head, payload, signature = world.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{head}.{b64(json.dumps({**claims, 'sub': 'sub-bob'}).encode())}.{signature}"


def malleable(world: World) -> str:
    """The same token with other bits where base64url has none: a second spelling for one signature."""
    token = world.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


def duplicate_claim(world: World) -> str:
    text = json.dumps(world.claims())
    doubled = text[:-1] + ', "sub": "sub-bob"}'
    header = b64(json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}).encode())
    good = world.signer.sign({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}, world.claims())
    return f"{header}.{b64(doubled.encode())}.{good.split('.')[2]}"


NOW = time.time
BAD: dict[str, Callable[[World], str]] = {
    "garbage": lambda world: "garbage",
    "three parts of garbage": lambda world: "a.b.c",
    "alg none": unsigned,
    "HS256 with the public key": hmac_with_public_key,
    "tampered": tampered,
    "second spelling": malleable,
    "duplicate claim": duplicate_claim,
    "foreign key": lambda world: Signer().sign({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}, world.claims()),
    "unknown kid": lambda world: signed(world, {"kid": "k2"}),
    "id token": lambda world: signed(world, {"typ": "JWT"}),
    "jku": lambda world: signed(world, {"jku": "https://evil.example/keys"}),
    "jwk": lambda world: signed(world, {"jwk": world.signer.jwk()}),
    "x5u": lambda world: signed(world, {"x5u": "https://evil.example/"}),
    "crit": lambda world: signed(world, {"crit": ["b64"], "b64": False}),
    "alg of another case": lambda world: signed(world, {"alg": "es256"}),
    "wrong issuer": lambda world: world.token(iss="http://evil.example"),
    "issuer with slash": lambda world: world.token(iss=ISSUER + "/"),
    "expired": lambda world: world.token(exp=int(NOW()) - 1),
    "not yet": lambda world: world.token(nbf=int(NOW()) + 60),
    "no expiry": lambda world: world.token(exp=None),
    "expiry as text": lambda world: world.token(exp="9999999999"),
    "expiry true": lambda world: world.token(exp=True),
    "no subject": lambda world: world.token(sub=None),
    "unknown subject": lambda world: world.token(sub="sub-carol"),
    "line break in the client id": lambda world: world.token(client_id="c\r\nX-Mcp-User: sub-bob"),
    "too long": lambda world: world.token(pad="x" * 9000),
    "audience of another server": lambda world: world.token("shop"),
    "several audiences": lambda world: world.token(aud=[f"{ISSUER}/mcp-connect/time"]),
    "audience of the gateway": lambda world: world.token(aud=ISSUER),
    "audience with slash": lambda world: world.token(aud=f"{ISSUER}/mcp-connect/time/"),
}


@rule(8, 11, 15, 16, 18, 19)
@pytest.mark.parametrize("kind", BAD)
def test_a_token_that_is_not_right_for_this_server_is_refused(world: World, kind: str) -> None:
    token = BAD[kind](world)
    for _ in range(2):  # the second time from the cache, if it were there
        reply = world.call(PING, token=token)
        assert reply.status == 401
        assert challenge(reply)["error"] == "invalid_token"
    assert world.upstream.requests == []


@rule(18)
def test_a_token_that_was_good_ends_with_its_expiry(world: World) -> None:
    token = world.token(exp=int(time.time()) + 2)
    assert world.call(PING, token=token).status == 200
    time.sleep(2.1)
    assert world.call(PING, token=token).status == 401


@rule(18)
def test_a_revoked_token_is_refused_at_once_and_others_of_its_subject_go_on(world: World) -> None:
    revoked, other = world.token(jti="j-1"), world.token(jti="j-2")
    assert world.call(PING, token=revoked).status == 200
    world.publish(lambda document: document["revokedTokens"].update({"j-1": 2_000_000_000}))
    assert world.call(PING, token=revoked).status == 401
    assert world.call(PING, token=other).status == 200


@rule(18)
def test_revoking_a_subject_ends_its_earlier_tokens_only(world: World) -> None:
    now = int(time.time())
    earlier, later = world.token(iat=now - 10), world.token(iat=now)
    assert world.call(PING, token=earlier).status == 200
    world.publish(lambda document: document["revokedBefore"].update({"sub-alice": now}))
    assert world.call(PING, token=earlier).status == 401
    assert world.call(PING, token=later).status == 200


@rule(18)
def test_a_key_that_is_withdrawn_ends_its_tokens(world: World) -> None:
    token = world.token()
    assert world.call(PING, token=token).status == 200
    world.publish(lambda document: document["jwks"].update({"keys": [Signer("k9").jwk()]}))
    assert world.call(PING, token=token).status == 401


@rule(9, 11)
def test_too_few_scopes_are_told_with_all_that_is_needed(world: World) -> None:
    for scope in ("", "other", "mcp2", "MCP"):
        reply = world.call(PING, token=world.token(scope=scope))
        assert reply.status == 403
        parameters = challenge(reply)
        assert parameters["error"] == "insufficient_scope"
        assert parameters["scope"] == "mcp"
        assert parameters["resource_metadata"].endswith("/mcp-connect/time")
    assert world.upstream.requests == []


@rule(20, 19)
def test_a_server_one_may_not_use_answers_like_an_unknown_one(world: World) -> None:
    notes = world.call(PING, "notes", subject="sub-bob")
    foreign = world.call(PING, "notes", token=world.token("time", "sub-bob"))
    unknown = world.call(PING, "nothing", subject="sub-bob")
    assert (notes.status, notes.body) == (unknown.status, unknown.body) == (foreign.status, foreign.body)
    assert notes.status == 404
    assert {name.lower() for name in notes.headers} == {name.lower() for name in unknown.headers}
    assert world.other.requests == []
    assert world.call(PING, "notes").status == 200


@rule(17, 93)
def test_the_servers_never_see_the_callers_token_or_cookies(world: World) -> None:
    token = world.token()
    assert world.call(PING, token=token, headers={"Cookie": "session=secret-cookie"}).status == 200
    seen = world.upstream.requests[0]
    assert seen.get("authorization") is None
    assert token not in str(seen.headers)
    assert "secret-cookie" not in str(seen.headers)


@rule(53)
def test_no_token_in_log_or_audit(world: World) -> None:
    token = world.token()
    world.call(PING, token=token)
    world.call(PING, token=token + "x")
    records = world.audit(0)
    assert token not in world.log
    assert token not in json.dumps(records)


def test_too_many_calls_are_told_when_to_come_back(world: World) -> None:
    world.publish(lambda document: document["servers"][0]["limits"].update({"callsPerMinute": 3}))
    assert [world.call(PING).status for _ in range(4)] == [200, 200, 200, 429]
    assert int(world.call(PING).headers["Retry-After"]) in range(1, 21)
    assert world.call(PING, subject="sub-bob").status == 200
    assert world.call(PING, "shop").status == 200


@rule(19)
def test_values_that_are_missing_are_named(world: World) -> None:
    world.publish(lambda document: document["servers"][0].update({"missing": {"sub-alice": ["API key", "Region"]}}))
    reply = world.call({"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": {}})
    assert reply.status == 200
    assert reply.json()["id"] == "a"
    assert "API key, Region" in reply.json()["error"]["message"]
    assert world.call(None, method="GET").status == 403
    assert world.upstream.requests == []
    assert world.call(PING, subject="sub-bob").status == 200


def test_users_have_their_own_headers_and_routes_their_fixed_ones(world: World) -> None:
    def change(document: dict[str, Any]) -> None:
        document["servers"][0]["upstream"]["headers"] = {"Authorization": "Bearer static", "Accept": "text/x-route"}
        document["servers"][0]["userHeaders"] = {"sub-alice": {"X-Api-Key": "alice's"}, "sub-bob": {"X-Api-Key": "b"}}

    world.publish(change)
    world.call(PING, headers={"X-Api-Key": "forged"})
    world.call(PING, subject="sub-bob")
    alice, bob = world.upstream.requests
    for seen, subject, key in ((alice, "sub-alice", "alice's"), (bob, "sub-bob", "b")):
        pairs = [(name.lower(), value) for name, value in seen.headers]
        assert pairs.count(("x-api-key", key)) == 1
        assert [value for name, value in pairs if name == "x-api-key"] == [key]
        assert [value for name, value in pairs if name == "authorization"] == ["Bearer static"]
        assert [value for name, value in pairs if name == "accept"] == ["text/x-route"]
        assert [value for name, value in pairs if name == "x-mcp-user"] == [subject]
        assert [value for name, value in pairs if name == "x-mcp-client"] == ["client-1"]


@rule(93)
def test_a_remote_server_is_not_told_who_calls(world: World) -> None:
    world.publish(lambda document: document["servers"][0].update({"kind": "remote"}))
    world.call(PING)
    seen = world.upstream.requests[0]
    assert seen.get("x-mcp-user") is None
    assert seen.get("x-mcp-client") is None
    assert HOST not in str(seen.headers)
