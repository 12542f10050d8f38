"""Access tokens for many users, each from the whole authorization code flow, without a browser."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping

import httpx

from tests.gateway.control.page_forms import inputs, query_of

REDIRECT = "http://127.0.0.1:3333/callback"


def tokens(gateway: str, resource: str, passwords: Mapping[str, str]) -> dict[str, str]:
    """Login -> access token for `resource`. One client is registered, and each user signs in and consents."""
    with httpx.Client(base_url=gateway, timeout=60) as http:
        answer = http.post(
            "/oauth/register",
            json={
                "client_name": "Benchmark",
                "redirect_uris": [REDIRECT],
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code"],
                "application_type": "native",
            },
        )
        client = str(answer.raise_for_status().json()["client_id"])
    return {login: _token(gateway, resource, client, login, password) for login, password in passwords.items()}


def _token(gateway: str, resource: str, client: str, login: str, password: str) -> str:
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": REDIRECT,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "resource": resource,
        "scope": "mcp",
        "state": "s",
    }
    with httpx.Client(base_url=gateway, timeout=60) as browser:
        page = browser.get("/sign-in", params={"onward": "/"})
        _redirected(browser.post("/sign-in", data=inputs(page.text) | {"login": login, "password": password}))
        page = browser.get("/oauth/authorize", params=asked)
        consent = browser.post("/oauth/consent", data=inputs(page.text) | {"decision": "allow"})
        form = {
            "grant_type": "authorization_code",
            "client_id": client,
            "code": query_of(_redirected(consent))["code"],
            "redirect_uri": REDIRECT,
            "code_verifier": verifier,
            "resource": resource,
        }
        return str(browser.post("/oauth/token", data=form).raise_for_status().json()["access_token"])


def _redirected(answer: httpx.Response) -> str:
    if answer.status_code != 303:
        raise RuntimeError(f"{answer.url.path} answered {answer.status_code}")
    return answer.headers["location"]
