"""The guard against requests to addresses that aren't on the public internet."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_gateway.authorization.ssrf import GuardedFetch, Refused, is_public_address, public_host

from tests.gateway.rules import rule

BLOCKED = {
    "this network": "0.0.0.0/8",
    "private 10": "10.0.0.0/8",
    "shared": "100.64.0.0/10",
    "loopback": "127.0.0.0/8",
    "link-local and metadata": "169.254.0.0/16",
    "private 172": "172.16.0.0/12",
    "protocol assignments": "192.0.0.0/29",
    "documentation 1": "192.0.2.0/24",
    "6to4 relay": "192.88.99.0/24",
    "private 192": "192.168.0.0/16",
    "benchmarks": "198.18.0.0/15",
    "documentation 2": "198.51.100.0/24",
    "documentation 3": "203.0.113.0/24",
    "multicast": "224.0.0.0/4",
    "reserved": "240.0.0.0/4",
    "azure": "168.63.129.16/32",
    "v6 unspecified and loopback": "::/127",
    "v4 compatible": "::/96",
    "v4 mapped": "::ffff:0:0/96",
    "nat64": "64:ff9b::/96",
    "nat64 local": "64:ff9b:1::/48",
    "discard": "100::/64",
    "teredo": "2001::/32",
    "orchid": "2001:20::/28",
    "v6 documentation": "2001:db8::/32",
    "6to4": "2002::/16",
    "v6 documentation 2": "3fff::/20",
    "ula": "fc00::/7",
    "v6 link-local": "fe80::/10",
    "site-local": "fec0::/10",
    "v6 multicast": "ff00::/8",
}


@rule(34)
@pytest.mark.parametrize("network", BLOCKED.values(), ids=BLOCKED.keys())
@given(data=st.data())
def test_no_address_of_a_special_class_is_public(network: str, data: st.DataObject) -> None:
    range_ = ipaddress.ip_network(network)
    number = data.draw(st.integers(int(range_.network_address), int(range_.broadcast_address)))
    address = (ipaddress.IPv4Address if range_.version == 4 else ipaddress.IPv6Address)(number)
    assert not is_public_address(str(address))


@rule(34)
@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}", "::{}"]))
def test_no_ipv4_address_is_public_inside_ipv6(address: ipaddress.IPv4Address, form: str) -> None:
    assert not is_public_address(form.format(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public_address(address)


@rule(34)
@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/c",
        "https://169.254.169.254/c",
        "https://[::1]/c",
        "https://[::ffff:127.0.0.1]/c",
        "https://2130706433/c",
        "https://0x7f.1/c",
        "https://0177.0.0.1/c",
        "https://127.1/c",
        "https://localhost/c",
        "https://a.localhost/c",
        "https://metadata.google.internal/c",
        "https://printer.local/c",
        "https://host/c",
        "https://a.example@127.0.0.1/c",
        "https://a.example\\@127.0.0.1/c",
        "https://a.example./c",
        "https://A.example/c",
        "https://1.2.3.4%2f.example/c",
        "https://a.example:x/c",
        "https://ex\u3002ample/c",
        "http://a.example/c",
        "HTTPS://a.example/c",
        "ftp://a.example/c",
        "https:///c",
        "https://[/c",
    ],
)
def test_hosts_that_are_no_public_names_are_refused(url: str) -> None:
    with pytest.raises(Refused):
        public_host(url)


def test_a_public_name_may_have_a_port() -> None:
    assert public_host("https://app.example:8443/c") == "app.example"


@rule(34)
@pytest.mark.parametrize("answers", [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::1"], ["fd00:ec2::254"], []])
async def test_one_bad_address_of_a_name_refuses_it(answers: Sequence[str]) -> None:
    reached = []

    async def canary(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(canary, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def resolve(host: str, port: int) -> Sequence[str]:
        return answers

    async with server:
        begin = time.monotonic()
        with pytest.raises(Refused, match="not on the public internet"):
            await GuardedFetch(resolve=resolve).get(f"https://app.example:{port}/c")
        assert time.monotonic() - begin < 10
    assert reached == []
