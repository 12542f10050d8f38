"""Folds `env`, `remoteConfig.headers`, `multiUserConfig.userDefinedHeaders` and `config` into one list of settings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from components.catalog.document import EntryDocument, EnvDocument, HeaderDocument
from components.catalog.entry import Option, Policy, SecretBinding, ServerType, Setting, Usage
from components.catalog.parse import Path
from components.catalog.report import Report, spelled

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A field name of RFC 9110, section 5.1."""
_KEY_LENGTH = 128
_PREFIX_LENGTH = 200
_OPTION_LENGTH = 4096
_HIGHEST_IN_HEADER = 255
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNREADABLE = re.compile(r"[\x01-\x08\x0b-\x1f]")
_GATEWAY_HEADERS = frozenset(
    {
        *("ACCEPT", "CONNECTION", "CONTENT-ENCODING", "CONTENT-LENGTH", "CONTENT-TYPE", "COOKIE", "EXPECT", "HOST"),
        *("KEEP-ALIVE", "ORIGIN", "TE", "TRAILER", "TRANSFER-ENCODING", "UPGRADE", "VIA"),
        *("LAST-EVENT-ID", "MCP-METHOD", "MCP-NAME", "MCP-PROTOCOL-VERSION", "MCP-SESSION-ID"),
        *("FORWARDED", "REMOTE-USER", "X-MCP-CLIENT", "X-MCP-USER", "X-REAL-IP"),
    }
)
"""What the gateway or the protocol sets itself."""


Placed = tuple[Path, Setting]


def settings(document: EntryDocument, server_type: ServerType, report: Report) -> tuple[Setting, ...]:
    """Return the settings in the order of the file; what is wrong goes to the report."""
    found = [
        *_second_version(document, report),
        *_variables(document, server_type, report),
        *_remote_headers(document, report),
        *_user_headers(document, report),
    ]
    seen: set[tuple[bool, str]] = set()
    for path, setting in found:
        identity = (setting.usage is Usage.HEADER, setting.key.upper())
        if setting.key and identity in seen:
            report.add((*path, "key"), "names a setting that stands there twice", "keep one of them", setting.key)
        seen.add(identity)
    return tuple(setting for _, setting in found)


def _variables(document: EntryDocument, server_type: ServerType, report: Report) -> Iterator[Placed]:
    for index, env in enumerate(document.env):
        path: Path = ("env", index)
        yield path, _variable(env, path, server_type, report)


def _remote_headers(document: EntryDocument, report: Report) -> Iterator[Placed]:
    remote = document.remote_config if document.runtime == "remote" else None
    for index, header in enumerate(remote.headers if remote else ()):
        path: Path = ("remoteConfig", "headers", index)
        yield path, _setting(header, Usage.HEADER, _header_key(header), Policy.USER, path, report)


def _user_headers(document: EntryDocument, report: Report) -> Iterator[Placed]:
    given = document.multi_user_config
    for index, header in enumerate(given.user_defined_headers if given else ()):
        path: Path = ("multiUserConfig", "userDefinedHeaders", index)
        if header.secret_binding is not None:
            report.add((*path, "secretBinding"), "a user's header can't be bound to a Secret", "remove it")
        if header.value:
            report.add((*path, "value"), "a user's header can't have a fixed value", "remove it")
        yield path, _setting(header, Usage.HEADER, header.key or header.name, Policy.USER, path, report)


def _second_version(document: EntryDocument, report: Report) -> Iterator[Placed]:
    remote = document.runtime == "remote"
    for index, item in enumerate(document.config or ()):
        path: Path = ("config", index)
        usage = Usage(item.usage)
        if usage is Usage.HEADER:
            key, policy = _header_key(item), Policy.USER
        else:
            raw = item.key or item.name
            key = _variable_key(raw.replace(".", "_") if usage in (Usage.FILE, Usage.DYNAMIC_FILE) else raw)
            policy = Policy.USER if document.server_user_type == "singleUser" and not remote else Policy.OPERATOR
        if item.static and not item.value:
            report.add((*path, "static"), "the setting is static but has no value", "give it a value")
        if remote and usage not in (Usage.HEADER, Usage.INTERPOLATED):
            report.add(
                (*path, "usage"), "a remote server gets headers only", "write header or interpolated", item.usage
            )
        yield path, _setting(item, usage, key, policy, path, report)


def _variable(env: EnvDocument, path: Path, server_type: ServerType, report: Report) -> Setting:
    raw = env.key or env.name
    as_file = env.file or "." in raw.rsplit("/", 1)[-1]
    remote = server_type is ServerType.REMOTE
    if env.dynamic_file and not as_file:
        report.add((*path, "dynamicFile"), "dynamicFile without file", "add file: true, or remove it")
    if remote and env.secret_binding is not None:
        report.add((*path, "secretBinding"), "a remote server's env can't be bound to a Secret", "remove it")
    if remote and as_file:
        report.add((*path, "file"), "a remote server gets no files", "remove it")
    usage = Usage.INTERPOLATED if remote else Usage.ENV
    if as_file and not remote:
        usage = Usage.DYNAMIC_FILE if env.dynamic_file else Usage.FILE
    policy = Policy.USER if server_type is ServerType.SINGLE_USER else Policy.OPERATOR
    return _setting(env, usage, _variable_key(raw.replace(".", "_") if as_file else raw), policy, path, report)


def _variable_key(raw: str) -> str:
    return raw.strip().upper().replace("-", "_")


def _header_key(header: HeaderDocument) -> str:
    return (header.key or header.name).strip().upper().replace("_", "-")


def _setting(item: HeaderDocument, usage: Usage, key: str, policy: Policy, path: Path, report: Report) -> Setting:
    _check_key(key, usage, path, report)
    _check_value(item, usage, path, report)
    _check_options(item, usage, path, report)
    binding = item.secret_binding
    if binding is not None and not (binding.name.strip() and binding.key.strip()):
        report.add((*path, "secretBinding"), "names no Secret or no key", "give both name and key")
    return Setting(
        key=key,
        usage=usage,
        policy=Policy.FIXED if item.value else policy,
        name=item.name,
        description=item.description,
        required=item.required,
        sensitive=item.sensitive,
        value=item.value,
        prefix=item.prefix,
        options=tuple(Option(name=o.name, value=o.value, description=o.description) for o in item.options),
        secret_binding=SecretBinding(name=binding.name, key=binding.key) if binding else None,
        path=spelled((*report.base, *path)),
    )


def _check_key(key: str, usage: Usage, path: Path, report: Report) -> None:
    where = (*path, "key")
    if not key:
        report.add(path, "has neither key nor name", "give it a key")
    elif len(key) > _KEY_LENGTH:
        report.add(where, f"is longer than {_KEY_LENGTH} characters", "give it a shorter one")
    elif usage is not Usage.HEADER:
        if not _VARIABLE.fullmatch(key):
            report.add(where, "is not a variable's name", "use letters, digits and underscores", key)
    elif not _TOKEN.fullmatch(key):
        report.add(where, "is not a header's name", "use letters, digits and hyphens", key)
    elif key.upper() in _GATEWAY_HEADERS or key.upper().startswith(("X-FORWARDED-", "PROXY-", "SEC-", "MCP-PARAM-")):
        report.add(where, "is a header that the gateway or the protocol sets itself", "use another header", key)


def _check_value(item: HeaderDocument, usage: Usage, path: Path, report: Report) -> None:
    if item.value and item.sensitive:
        report.add(
            (*path, "value"),
            "a sensitive value stands in clear in the catalog",
            "remove it and give it as a secret of the stack: servers.<id>.values",
        )
    if item.value and item.options:
        report.add((*path, "options"), "a fixed value has no options", "remove value or options")
    if item.value and item.secret_binding is not None:
        report.add((*path, "secretBinding"), "a fixed value can't be bound to a Secret", "keep one of the two")
    for name, text in (("value", item.value), ("prefix", item.prefix)):
        _check_text(text, usage, (*path, name), report)
    if usage is not Usage.HEADER and _UNREADABLE.search(item.prefix):
        report.add((*path, "prefix"), "holds a control character", "remove it")
    if len(item.prefix) > _PREFIX_LENGTH:
        report.add((*path, "prefix"), f"is longer than {_PREFIX_LENGTH} characters", "shorten it")
    if usage is Usage.HEADER and item.prefix != item.prefix.lstrip():
        report.add((*path, "prefix"), "begins with a blank, and no header can", "remove the blank")
    if usage is Usage.HEADER and item.value != item.value.strip():
        report.add((*path, "value"), "begins or ends with a blank, and no header can", "remove the blank")


def _check_text(text: str, usage: Usage, path: Path, report: Report) -> None:
    if "\x00" in text or (usage is Usage.HEADER and _CONTROL.search(text)):
        report.add(path, "holds a control character", "write it on one line")
    elif usage is Usage.HEADER and any(ord(char) > _HIGHEST_IN_HEADER for char in text):
        report.add(path, "holds a character that a header can't carry", "write it in letters of Latin-1")


def _check_options(item: HeaderDocument, usage: Usage, path: Path, report: Report) -> None:
    values: set[str] = set()
    for index, option in enumerate(item.options):
        where = (*path, "options", index)
        if not option.name.strip() or not option.value.strip():
            report.add(where, "an option has a blank name or value", "give it both")
        elif option.value in values:
            report.add(where, "an option's value stands there twice", "keep one of them")
        elif len(option.value) > _OPTION_LENGTH:
            report.add(where, f"an option's value is longer than {_OPTION_LENGTH} characters", "shorten it")
        elif _CONTROL.search(option.value) or (usage is Usage.HEADER and option.value != option.value.strip()):
            report.add(where, "an option's value holds a control character or a blank at an end", "remove it")
        else:
            _check_text(option.value, usage, where, report)
        values.add(option.value)
