"""Rules between a stack's fields that need no plan. What needs stack and entry together is decided in the plan."""

from __future__ import annotations

from collections.abc import Sequence

from components.catalog.entry import Entry, Setting, Usage
from components.catalog.report import Report
from components.config.stack import Secret, StackConfig, Value, is_loopback


def check(config: StackConfig, entries: Sequence[Entry], report: Report) -> None:
    """Add every problem to the report."""
    _listen(config, report)
    _images(config, report)
    by_key = {key: entry for entry in entries for key in entry.keys}
    for key, server in config.servers.items():
        entry = by_key.get(key)
        if entry is None:
            continue
        shared = {setting.key for name in server.values if (setting := entry.setting(name))}
        for name, value in server.values.items():
            _text(value, entry.setting(name), ("servers", key, "values", name), report)
        for login, values in server.user_values.items():
            for name, value in values.items():
                path = ("servers", key, "userValues", login, name)
                setting = entry.setting(name)
                _text(value, setting, path, report)
                if setting is not None and setting.key in shared:
                    report.add(path, "has a value for everybody already", f"remove it, or servers.{key}.values.{name}")


def _listen(config: StackConfig, report: Report) -> None:
    if config.public_url.startswith("http:") and not is_loopback(config.listen.address):
        report.add(
            ("listen", "address"),
            "would carry sign-in and tokens over the network by plain http",
            "give an https publicUrl and a front that ends TLS, or listen on 127.0.0.1",
            config.listen.address,
        )


def _images(config: StackConfig, report: Report) -> None:
    seen: set[str] = set()
    for index, local in enumerate(config.images.local):
        if local.image in seen:
            report.add(("images", "local", index, "image"), "stands there twice", "keep one", local.image)
        seen.add(local.image)


def _text(value: Value, setting: Setting | None, path: tuple[str, ...], report: Report) -> None:
    """A header on one line: anything else could smuggle a second header in (RFC 9110, section 5.5)."""
    if isinstance(value, Secret) or setting is None:
        return
    header = setting.usage is Usage.HEADER
    if "\x00" in value or (header and any((ord(char) < 32 and char != "\t") or ord(char) == 127 for char in value)):
        report.add(path, "holds a control character", "write it on one line")
    elif header and (any(ord(char) > 255 for char in value) or value != value.strip()):
        report.add(
            path, "begins or ends with a blank, or holds a character that a header can't carry", "mend the value"
        )
