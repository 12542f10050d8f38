"""Plans a server that runs elsewhere: its URL, and how far the edge may reach for it."""

from __future__ import annotations

from typing import Literal

from components.catalog.entry import RemoteConfig
from components.catalog.hosts import host_fits, is_private, split, url_wrong
from components.config.stack import ServerConfig
from components.errors import shown
from components.plan.model import Deviation
from components.plan.report import Report
from components.plan.text import Text
from components.plan.values import Values, fill


def upstream(
    report: Report, config: ServerConfig, remote: RemoteConfig, values: Values
) -> tuple[Text, Literal["public", "allowed"]]:
    """Return the upstream's URL and its reach; what is wrong goes to the report."""
    url = _url(report, config, remote, values)
    allowance = config.allow_private_upstream
    if allowance is not None:
        report.deviations.append(Deviation(name="allowPrivateUpstream", reason=allowance.reason))
    if remote.static_oauth_required:
        report.in_catalog(
            "remoteConfig.staticOAuthRequired",
            "needs an OAuth client of the upstream, which the gateway can't use yet",
            "leave the entry out, or give a header with a token instead",
        )
    if url.secrets:
        report.warnings.append("has a secret in its URL, where proxies on the way may log it")
    if (seen := _seen(url)) is not None:
        _check(report, seen, allowed=allowance is not None)
    return url, "public" if allowance is None else "allowed"


def _seen(url: Text) -> str | None:
    """What can be judged of an URL: all of it, or what stands before its first secret when that names the host.

    Of a host that is secret itself the scheme is judged; the edge judges the address.
    """
    start = url.pieces[0] if url.pieces else None
    if not isinstance(start, str):
        return None
    scheme, _, rest = start.partition("://")
    if not url.secrets or "/" in rest:
        return start
    return f"{scheme}://secret.invalid/" if rest or start.endswith("://") else None


def _url(report: Report, config: ServerConfig, remote: RemoteConfig, values: Values) -> Text:
    if not remote.hostname:
        if config.url is not None:
            report.in_stack("url", "the entry gives the URL itself", "remove it")
        return fill(remote.fixed_url or remote.url_template, values, {})
    if config.url is None:
        report.in_stack("url", f"the entry gives only the host {remote.hostname}", "set the server's URL on that host")
        return Text()
    parts = split(config.url)
    if parts is None or not host_fits(parts.hostname or "", remote.hostname):
        report.in_stack("url", f"is not on the host {remote.hostname}", "mend the URL", shown(config.url))
        return Text()
    return Text(config.url)


def _check(report: Report, url: str, *, allowed: bool) -> None:
    wrong = url_wrong(url)
    if wrong is not None:
        report.in_catalog("remoteConfig", f"its URL {wrong}", "mend the URL, or the values in it", shown(url))
    elif not allowed and (is_private(url) or url.lower().startswith("http:")):
        report.in_catalog(
            "remoteConfig",
            "its URL is of a private network, or plain http",
            f"use a public https URL, or set servers.{report.entry.id}.allowPrivateUpstream: {{reason: ...}}",
            shown(url),
        )
