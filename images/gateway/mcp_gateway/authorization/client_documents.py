"""Client ID metadata documents: clients whose id is the https URL of a document that describes them.

Source: draft-ietf-oauth-client-id-metadata-document, which the MCP specification (2026-07-28) prefers to registration.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from mcp_gateway.authorization.client_names import shown_name
from mcp_gateway.authorization.clients import Client
from mcp_gateway.authorization.redirect_uris import redirect_uri_problem
from mcp_gateway.authorization.ssrf import Answer, GuardedFetch, Refused, public_host

LONGEST_CACHE_SECONDS: Final = 86400
"""However long a document says that it may be kept."""

_LONGEST_URL: Final = 1000
_MAX_AGE = re.compile(r"max-age=\"?(\d{1,9})")


class UnusableClient(Exception):
    """The client's document can't be used; the message says why."""


def check_client_url(url: str, domains: Sequence[str]) -> None:
    """Check a client id that is a URL before it is fetched. Raises UnusableClient.

    `domains` restricts the hosts: `example.com` is that host, `*.example.com` every host below it; empty means all.
    """
    try:
        host = public_host(url)
    except Refused as refused:
        raise UnusableClient(f"The application's id is not usable: {refused}.") from None
    parts = urlsplit(url)
    segments = parts.path.split("/")
    if (
        len(url) > _LONGEST_URL
        or not re.fullmatch(r"[!-~]+", url)
        or set('\\<>"`{}|^#') & set(url)
        or parts.path in {"", "/"}
        or {".", ".."} & {segment.lower().replace("%2e", ".") for segment in segments}
    ):
        raise UnusableClient("The application's id is not a URL with a path, without a fragment and dot segments.")
    if domains and not any(_in_domain(host, domain) for domain in domains):
        raise UnusableClient(f"Applications of {host} are not allowed here.")


def _in_domain(host: str, domain: str) -> bool:
    return host.endswith(domain[1:]) if domain.startswith("*.") else host == domain


def parse_client_document(url: str, answer: Answer, native: Collection[str]) -> Client:
    """The client that a document describes, with those of its redirect URIs that may be used. Raises UnusableClient."""
    if answer.status != 200:
        raise UnusableClient(f"The application's metadata document answered with status {answer.status}.")
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UnusableClient("The application's metadata document is not a JSON object.")
    if document.get("client_id") != url:
        raise UnusableClient("The application's metadata document names another client_id.")
    name, uris = document.get("client_name"), document.get("redirect_uris")
    if not isinstance(name, str) or not shown_name(name):
        raise UnusableClient("The application's metadata document has no client_name.")
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise UnusableClient("The application's metadata document has no redirect_uris.")
    usable = tuple(uri for uri in uris if not redirect_uri_problem(uri, native))
    if not usable:
        raise UnusableClient(
            "The application's metadata document has no redirect URI that is https, loopback, or listed in the stack's "
            "gateway.registration.nativeRedirectUris."
        )
    # A document is public, so it can't hold a secret.
    if document.get("token_endpoint_auth_method", "none") != "none" or "client_secret" in document:
        raise UnusableClient(
            "The application's metadata document asks for client authentication; only `none` is offered."
        )
    grant_types = document.get("grant_types", ["authorization_code"])
    return Client(
        id=url,
        name=shown_name(name),
        redirect_uris=usable,
        refresh=isinstance(grant_types, list) and "refresh_token" in grant_types,
        verified_host=public_host(url),
    )


def cache_seconds(headers: Mapping[str, str], now: float) -> float:
    """How long an answer may be kept by its headers (RFC 9111 sections 4.2 and 5.2); nothing said means not at all."""
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0.0
    if match := _MAX_AGE.search(control):
        age = headers.get("age", "0")
        return float(min(LONGEST_CACHE_SECONDS, max(0, int(match[1]) - (int(age) if age.isdecimal() else 0))))
    try:
        expires = parsedate_to_datetime(headers["expires"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return 0.0
    return min(float(LONGEST_CACHE_SECONDS), max(0.0, expires - now))


@dataclass
class ClientDocuments:
    """Fetches clients' documents and keeps them for as long as their servers allow; errors are never kept."""

    fetch: GuardedFetch
    clock: Callable[[], float]
    capacity: int = 1000
    kept: OrderedDict[tuple[str, tuple[str, ...]], tuple[Client, float]] = field(default_factory=OrderedDict)
    """By URL, and by the native redirect URIs that were listed when the document was read."""

    async def find(self, url: str, domains: Sequence[str], native: tuple[str, ...]) -> Client:
        """The client with this URL. Raises UnusableClient."""
        check_client_url(url, domains)
        key = (url, native)
        client, fresh_until = self.kept.get(key, (None, 0.0))
        if client is not None and fresh_until > self.clock():
            return client
        try:
            answer = await self.fetch.get(url)
        except Refused as refused:
            raise UnusableClient(f"The application's metadata document is not usable: {refused}.") from None
        client = parse_client_document(url, answer, native)
        now = self.clock()
        if (seconds := cache_seconds(answer.headers, now)) > 0:
            self.kept[key] = (client, now + seconds)
            self.kept.move_to_end(key)
            while len(self.kept) > self.capacity:
                self.kept.popitem(last=False)
        return client
