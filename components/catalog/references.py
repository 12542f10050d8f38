"""`${KEY}`: where it may stand, and which settings it may name.

No default syntax and no escape, as in the format that entries come from; but an undeclared name is refused here instead
of being left in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from components.catalog.document import EntryDocument
from components.catalog.entry import Policy, Setting, Usage
from components.catalog.parse import Path
from components.catalog.report import Report

_REFERENCE = re.compile(r"\$\{([^}]+)\}")


def names(text: str) -> tuple[str, ...]:
    """Return the keys that a text refers to, in order, each once."""
    return tuple(dict.fromkeys(_REFERENCE.findall(text)))


def filled(text: str, value: Callable[[str], str] | Mapping[str, str]) -> str:
    """Put values in place of `${KEY}`; a value is not searched again. Raises `KeyError` for a key without value."""
    look_up = value.__getitem__ if isinstance(value, Mapping) else value
    return _REFERENCE.sub(lambda match: look_up(match[1]), text)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield a text's pieces in order: ("text", words) and ("key", KEY)."""
    end = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > end:
            yield "text", text[end : match.start()]
        yield "key", match[1]
        end = match.end()
    if end < len(text):
        yield "text", text[end:]


def places(document: EntryDocument) -> Iterator[tuple[Path, str]]:
    """Yield every place where `${KEY}` is replaced, with its text."""
    for block, config in (("npxConfig", document.npx_config), ("uvxConfig", document.uvx_config)):
        if config is not None:
            yield from (((block, "args", index), text) for index, text in enumerate(config.args))
    if document.uvx_config is not None:
        yield ("uvxConfig", "command"), document.uvx_config.command
    if (container := document.containerized_config) is not None:
        yield ("containerizedConfig", "image"), container.image
        yield ("containerizedConfig", "command"), container.command
        yield from ((("containerizedConfig", "args", index), text) for index, text in enumerate(container.args))
    if (remote := document.remote_config) is not None:
        yield ("remoteConfig", "fixedURL"), remote.fixed_url
        yield ("remoteConfig", "urlTemplate"), remote.url_template
        for index, header in enumerate(remote.headers):
            yield ("remoteConfig", "headers", index, "value"), header.value
    for index, setting in enumerate(document.config or ()):
        if setting.usage == "header":
            yield ("config", index, "value"), setting.value


def check(document: EntryDocument, settings: tuple[Setting, ...], report: Report) -> None:
    """Every key referred to is a required setting; the unreferenced `interpolated` ones are reported too."""
    declared = {setting.key: setting for setting in settings if setting.usage is not Usage.HEADER}
    used: set[str] = set()
    for path, text in places(document):
        for key in names(text):
            used.add(key)
            _check_one(path, key, declared, report)
    for setting in settings:
        if setting.usage is Usage.INTERPOLATED and setting.key not in used and document.config is not None:
            report.add(
                ("config",),
                f"{setting.key} is interpolated, but no ${{{setting.key}}} refers to it",
                "refer to it, or give it another usage",
            )


def _check_one(path: Path, key: str, declared: Mapping[str, Setting], report: Report) -> None:
    where = "config" if path[0] == "config" else "env"
    setting = declared.get(key)
    if setting is None:
        close = key.upper().replace("-", "_")
        remedy = f"write ${{{close}}}" if close in declared else f"declare {key} under {where} with required: true"
        report.add(path, f"${{{key}}} refers to no setting", remedy)
    elif not setting.required and setting.policy is not Policy.FIXED:
        report.add(path, f"${{{key}}} refers to a setting that is not required", f"give {key} required: true")
    elif setting.secret_binding is not None and path[0] == "remoteConfig":
        report.add(path, f"${{{key}}} in an URL refers to a setting with a secretBinding", "use one without")
    elif setting.usage in (Usage.FILE, Usage.DYNAMIC_FILE) and path[0] in ("remoteConfig", "config"):
        report.add(path, f"${{{key}}} refers to a file, and a remote server gets none", "use a setting without file")
