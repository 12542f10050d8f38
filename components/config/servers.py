"""What stack and entry say together of one server: pure answers that the checks and the plan share."""

from __future__ import annotations

from collections.abc import Mapping

from components.catalog import references
from components.catalog.entry import Amount, Entry, Policy, RemoteConfig, Resources
from components.catalog.report import Report
from components.catalog.runtimes import resources
from components.config.stack import Secret, ServerConfig, StackConfig


def server_config(config: StackConfig, entry: Entry) -> ServerConfig:
    """Return what the stack says of an entry's server, the defaults when it says nothing."""
    return next((server for key, server in config.servers.items() if key in entry.keys), ServerConfig())


def server_resources(entry: Entry, server: ServerConfig) -> Resources:
    """Return the entry's amounts with the stack's above them, field by field."""
    over = resources(server.resources, Report(file=None))
    return Resources(
        requests=_over(entry.resources.requests, over.requests), limits=_over(entry.resources.limits, over.limits)
    )


def _over(below: Amount, above: Amount) -> Amount:
    return Amount(
        cpu_milli=below.cpu_milli if above.cpu_milli is None else above.cpu_milli,
        memory_bytes=below.memory_bytes if above.memory_bytes is None else above.memory_bytes,
    )


def values(entry: Entry, server: ServerConfig) -> Mapping[str, str | Secret]:
    """Return the setting's key -> value for everybody: the catalog's own, and the stack's with the setting's prefix.

    A secret keeps its name only; whoever puts its value in place adds the prefix (`prefixed`).
    """
    found: dict[str, str | Secret] = {
        setting.key: setting.value for setting in entry.settings if setting.policy is Policy.FIXED
    }
    for key, value in server.values.items():
        setting = entry.setting(key)
        if setting is not None and setting.policy is not Policy.FIXED:
            found[setting.key] = prefixed(value, setting.prefix) if isinstance(value, str) else value
    return found


def prefixed(value: str, prefix: str) -> str:
    """Put a prefix before a value, unless the value is empty or starts with it already."""
    return value if not value or value.startswith(prefix) else prefix + value


def upstream_url(entry: Entry, server: ServerConfig) -> str | None:
    """Return a remote server's URL; None when it isn't known (a value is missing, or is a secret)."""
    if not isinstance(entry.runtime_config, RemoteConfig):
        return None
    remote = entry.runtime_config
    text = remote.fixed_url or remote.url_template or server.url or ""
    plain = {key: value for key, value in values(entry, server).items() if isinstance(value, str) and value}
    try:
        return references.filled(text, plain) or None
    except KeyError:
        return None
