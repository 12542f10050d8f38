"""Gives each setting of an entry its value: from the catalog, from the stack for everybody, or from each user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.catalog.entry import Policy, Setting, Usage
from components.catalog.references import pieces
from components.config.stack import Secret, ServerConfig
from components.errors import shown
from components.plan.model import UserSetting
from components.plan.report import Report
from components.plan.text import SecretRef, Text

Known = frozenset[str] | None
"""Names of the secrets that the stack has; None: they can't be seen here, any name passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The settings that have a value for everybody, and what is each user's own."""

    everyone: Mapping[str, tuple[Setting, Text]] = field(default_factory=dict)
    """Key -> value of all settings but headers."""
    headers: Mapping[str, Text] = field(default_factory=dict)
    user_headers: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)
    user_settings: tuple[UserSetting, ...] = ()


def resolve(report: Report, config: ServerConfig, logins: frozenset[str], secrets: Known) -> Values:
    """Return the entry's values; what is missing or wrong goes to the report."""
    # A header and a variable may share a key: a value for everybody then serves both, a user's value the header.
    in_order = sorted(report.entry.settings, key=lambda setting: setting.usage is Usage.HEADER)
    settings = {setting.key.upper(): setting for setting in in_order}
    given = _known_keys(report, "values", config.values, settings)
    everyone: dict[str, tuple[Setting, Text]] = {}
    headers: dict[str, Text] = {}
    own: list[UserSetting] = []
    for setting in report.entry.settings:
        path = f"values.{setting.key}"
        value = given.get(setting.key.upper())
        if setting.policy is Policy.FIXED:
            text: Text | None = Text(setting.value)
            if value is not None:
                report.in_stack(path, "has a value that the catalog fixes", "remove it here")
        elif value is not None:
            text = _text(report, path, setting, value, secrets)
        else:
            text = None
            _check_absent(report, path, setting)
        if text is None:
            if setting.usage is Usage.HEADER and setting.policy is Policy.USER:
                own.append(_user_setting(setting))
        elif setting.usage is Usage.HEADER:
            headers[setting.key] = text
        else:
            everyone[setting.key] = (setting, text)
    return Values(
        everyone=everyone,
        headers={name: _filled(text, everyone) for name, text in headers.items()},
        user_headers=_user_headers(report, config, settings, logins, secrets),
        user_settings=tuple(own),
    )


def fill(text: str, values: Values, paths: Mapping[str, str]) -> Text:
    """Put values in place of `${KEY}`; a file's key stands for its path in `paths`."""
    parts: list[str | SecretRef] = []
    for kind, piece in pieces(text):
        if kind == "text":
            parts.append(piece)
        elif piece in paths:
            parts.append(paths[piece])
        elif piece in values.everyone:
            parts.extend(values.everyone[piece][1].pieces)
    return Text(*parts)


def _filled(text: Text, everyone: Mapping[str, tuple[Setting, Text]]) -> Text:
    """A header that the catalog fixes may refer to other settings."""
    return text if text.secrets else fill(text.plain, Values(everyone=everyone), {})


def _known_keys(
    report: Report, place: str, given: Mapping[str, str | Secret], settings: Mapping[str, Setting]
) -> dict[str, str | Secret]:
    found: dict[str, str | Secret] = {}
    for key, value in given.items():
        name = key.upper() if key.upper() in settings else key.upper().replace("-", "_")
        if name in settings:
            found[name] = value
        else:
            report.in_stack(
                f"{place}.{key}",
                "is not a setting of this entry",
                f"use one of {', '.join(setting.key for setting in settings.values()) or 'none: it has no settings'}",
            )
    return found


def _check_absent(report: Report, path: str, setting: Setting) -> None:
    if setting.secret_binding is not None:
        report.in_stack(
            path,
            f"{setting.key} is bound to a Secret of Kubernetes, which Docker does not have",
            f"set {setting.key}: {{secret: NAME}} to a secret of the stack",
        )
    elif setting.required and not (setting.usage is Usage.HEADER and setting.policy is Policy.USER):
        form = "{secret: NAME}, a secret of the stack" if setting.sensitive else "its value"
        report.in_stack(path, f"{setting.key} is required and has no value", f"set it to {form}")


def _text(report: Report, path: str, setting: Setting, value: str | Secret, secrets: Known) -> Text | None:
    if isinstance(value, Secret):
        if secrets is not None and value.secret not in secrets:
            report.in_stack(
                path,
                f"the stack has no secret {value.secret}",
                f"run: pulumi config set --secret --path 'mcp-hosting:secrets[\"{value.secret}\"]'",
            )
        return Text(SecretRef(name=value.secret, prefix=setting.prefix))
    if setting.sensitive:
        report.in_stack(
            path,
            "is sensitive and stands in clear",
            "keep the value as a secret of the stack and write {secret: NAME} here",
        )
        return None
    if setting.options and value not in {option.value for option in setting.options}:
        allowed = ", ".join(option.value for option in setting.options)
        report.in_stack(path, "is not one of the values that the entry allows", f"use one of {allowed}", shown(value))
    if not value or value.startswith(setting.prefix):
        return Text(value)
    return Text(setting.prefix, value)


def _user_setting(setting: Setting) -> UserSetting:
    return UserSetting(
        key=setting.key,
        name=setting.name or setting.key,
        description=setting.description,
        required=setting.required,
        sensitive=setting.sensitive,
        prefix=setting.prefix,
    )


def _user_headers(
    report: Report,
    config: ServerConfig,
    settings: Mapping[str, Setting],
    logins: frozenset[str],
    secrets: Known,
) -> dict[str, dict[str, Text]]:
    found: dict[str, dict[str, Text]] = {}
    for login, values in config.user_values.items():
        place = f"userValues.{login}"
        if login not in logins:
            report.in_stack(place, "is not a user of the stack", "add the user under users, or remove the values")
        for key, value in _known_keys(report, place, values, settings).items():
            setting = settings[key]
            if setting.usage is not Usage.HEADER or setting.policy is not Policy.USER:
                report.in_stack(
                    f"{place}.{setting.key}",
                    "is shared by all users of this server",
                    f"set servers.{report.entry.id}.values.{setting.key} for everybody",
                )
            elif (text := _text(report, f"{place}.{setting.key}", setting, value, secrets)) is not None:
                found.setdefault(login, {})[setting.key] = text
    return found
