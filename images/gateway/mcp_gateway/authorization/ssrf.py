"""Guards a request to a URL that a stranger chose, against server-side request forgery.

Attacks and what stops them: loopback, private, link-local, ULA, multicast, reserved and metadata addresses, also inside
IPv6 (mapped, compatible, NAT64, 6to4, Teredo): only global unicast is connected to. Numbers as hosts (`2130706433`,
`0x7f.1`): host names only. DNS rebinding: the addresses that were checked are those that are connected to, and one bad
answer refuses all. Redirects: never followed. Endless or packed bodies, slow servers: capped, never unpacked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

LARGEST_ANSWER: Final = 64 * 1024
"""Bytes of an answer's body."""

SECONDS: Final = 5.0
"""For everything: name resolution, connection, TLS, answer."""

_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SPECIAL_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    # Relays of 6to4, and the address at which Azure answers its virtual machines.
    for network in ("192.88.99.0/24", "168.63.129.16/32")
)
_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    ipaddress.IPv6Network(network)
    # IETF protocols with Teredo, documentation, 6to4, documentation.
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class Refused(Exception):
    """The request was not made or not completed; the message may be shown to the user."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_public_address(address: str) -> bool:
    """Whether an IP address is global unicast: a host of the public internet."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.scope_id is None and parsed in _UNICAST_V6 and not any(parsed in net for net in _SPECIAL_V6)
    return (
        parsed.is_global
        and not parsed.is_multicast
        and not parsed.is_reserved
        and not any(parsed in net for net in _SPECIAL_V4)
    )


def public_host(url: str) -> str:
    """The host of an https URL that may be requested, before any name is resolved. Raises Refused.

    The top-level domain must begin with a letter, which no spelling of an IPv4 address does.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("it is not a URL") from None
    host = parts.netloc.removesuffix(f":{port}") if port else parts.netloc
    if parts.scheme != "https" or not url.startswith("https://"):
        raise Refused("it is not an https URL")
    if not _HOST.fullmatch(host) or host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        raise Refused("its host is not a public host name in lower case")
    return host


async def resolve(host: str, port: int) -> list[str]:
    """Every address that the host's name has."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class GuardedFetch:
    """Fetches https URLs of the public internet."""

    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = resolve
    admits: Callable[[str], bool] = is_public_address

    async def get(self, url: str) -> Answer:
        """One GET request. Raises Refused."""
        host = public_host(url)
        try:
            async with asyncio.timeout(SECONDS):
                addresses = await self.resolve(host, urlsplit(url).port or 443)
                if not addresses or not all(self.admits(address) for address in addresses):
                    raise Refused("its host is not on the public internet")
                return await self._get(url, host, addresses)
        except TimeoutError:
            raise Refused(f"its server did not answer within {SECONDS:g} s") from None
        except OSError:
            raise Refused("its server can't be reached") from None

    async def _get(self, url: str, host: str, addresses: Sequence[str]) -> Answer:
        # aiohttp takes most of a second to import, and most gateways fetch no document when they start.
        import aiohttp
        from aiohttp.abc import AbstractResolver, ResolveResult
        from yarl import URL

        class Pinned(AbstractResolver):
            async def resolve(
                self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
            ) -> list[ResolveResult]:
                return [
                    ResolveResult(
                        hostname=host,
                        host=address,
                        port=port,
                        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                        proto=0,
                        flags=socket.AI_NUMERICHOST,
                    )
                    for address in addresses
                ]

            async def close(self) -> None:
                return None

        connector = aiohttp.TCPConnector(resolver=Pinned(), use_dns_cache=False, ssl=self.tls, force_close=True)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "mcp-gateway"}
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), headers=headers
                ) as session,
                session.get(URL(url, encoded=True), allow_redirects=False) as response,
            ):
                body = bytearray()
                async for chunk in response.content.iter_chunked(8192):
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise Refused(f"it is larger than {LARGEST_ANSWER} bytes")
                found = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, found, bytes(body))
        except (aiohttp.ClientError, ValueError):
            raise Refused("its server can't be reached, or its certificate or answer is not valid") from None
