from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.catalog import hosts


@pytest.mark.parametrize("domain", ["api.example.com", "*.example.com", "a-b.example", "xn--bcher-kva.example"])
def test_a_host_name_may_be_an_egress_domain(domain: str) -> None:
    assert hosts.domain_wrong(domain) is None


@pytest.mark.parametrize(
    "domain",
    [
        *("", " ", "example", "*", "*.*.example.com", "a.*.com", "https://a.b", "a.b/c", "a.b:443", "10.0.0.1", "::1"),
        *("localhost", "x.localhost", "metadata.google.internal", "cluster.local", "a.cluster.local", "a.b.svc"),
        *("1.0.0.10.in-addr.arpa", "x.ip6.arpa", "2130706433", "0x7f.1", "a b.com", ".com", "a..b", "-a.com"),
    ],
)
def test_anything_else_is_refused(domain: str) -> None:
    assert hosts.domain_wrong(domain) is not None


@pytest.mark.parametrize(
    "url", ["https://mcp.example.com/mcp", "http://x:3000/mcp", "https://8.8.8.8/", "https://a.example:8443/?k=v"]
)
def test_an_upstream_url_is_http_with_a_host(url: str) -> None:
    assert hosts.url_wrong(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "mcp.example.com", "ftp://a.b/", "file:///etc/passwd", "https://", "https:///x", "javascript:alert(1)"),
        *("https://user:pw@a.b/", "https://a.b@c.d/", "https://a.b/#x", "https://a.b:0/", "https://a.b:99999/"),
        *("https://a b/", "https://a.b\\@c.d/", "https://a.b/\nx", "https://2130706433/", "https://0x7f000001/"),
        *("https://127.1/", "https://0177.0.0.1/", "https://169.254.169.254/latest", "https://[fe80::1]/"),
        *("https://[::ffff:169.254.169.254]/", "https://0.0.0.0/", "https://224.0.0.1/", "https://[::]/"),
        *("https://metadata.google.internal/", "https://metadata.google.internal./", "https://[fd00:ec2::254]/"),
        *("https://100.100.100.200/", "https://exämple.com/", "https://[::1", "https://a..b/"),
    ],
)
def test_other_urls_are_refused_even_where_private_hosts_are_allowed(url: str) -> None:
    assert hosts.url_wrong(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://10.1.2.3/", "http://192.168.0.1:8080/", "http://172.16.0.1/", "http://[::1]/"),
        *("http://[::ffff:10.0.0.1]/", "http://[fd12::1]/", "http://localhost/", "http://db/", "http://a.local/"),
        *("http://a.svc/", "http://a.internal/", "http://a.cluster.local/", "http://100.64.0.1/", "http://localhost./"),
        "http://[2002:a00:1::]/",
    ],
)
def test_hosts_of_private_networks_are_recognised(url: str) -> None:
    assert hosts.url_wrong(url) is None
    assert hosts.is_private(url)


def test_public_hosts_are_not_private() -> None:
    assert not hosts.is_private("https://mcp.example.com/")
    assert not hosts.is_private("https://8.8.8.8/")


@pytest.mark.parametrize(
    ("host", "hostname", "fits"),
    [
        ("gitmcp.io", "gitmcp.io", True),
        ("GitMCP.io", "gitmcp.io", True),
        ("docs.mcp.example.com", "*.mcp.example.com", True),
        ("a.b.mcp.example.com", "*.mcp.example.com", True),
        ("mcp.example.com", "*.mcp.example.com", False),
        ("evilmcp.example.com", "*.mcp.example.com", False),
        ("gitmcp.io.evil.com", "gitmcp.io", False),
    ],
)
def test_a_star_means_any_depth_below(host: str, hostname: str, fits: bool) -> None:
    assert hosts.host_fits(host, hostname) is fits


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    hosts.domain_wrong(text)
    hosts.host_wrong(text)
    hosts.url_wrong(text)
    hosts.is_private(text)
