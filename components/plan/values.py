"""Gives each setting of an entry its value: from the catalog, from the stack for everybody, or from each user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.catalog.entry import Policy, ServerType, Setting, Usage
from components.catalog.references import pieces
from components.config.stack import Secret, ServerConfig
from components.errors import shown
from components.plan.display import line, paragraphs
from components.plan.model import Giver, SettingOption, UserSetting
from components.plan.model import Usage as UserUsage
from components.plan.report import Report
from components.plan.text import Open, SecretRef, Text, UserValue

Known = frozenset[str] | None
"""Names of the secrets that the stack has; None: they can't be seen here, any name passes."""

_USAGES: Mapping[Usage, UserUsage] = {
    Usage.HEADER: "header",
    Usage.ENV: "env",
    Usage.INTERPOLATED: "env",
    Usage.FILE: "file",
    Usage.DYNAMIC_FILE: "file",
}
"""How a value reaches the server; the launcher fills in one that is interpolated as it fills in a variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What each setting holds: a value for everybody, or each user's own."""

    everyone: Mapping[str, tuple[Setting, Text]] = field(default_factory=dict)
    """Key -> value of all settings but headers. On a single-user server a user's own stands there as a placeholder."""
    headers: Mapping[str, Text] = field(default_factory=dict)
    """Headers that are the same for everybody."""
    header_settings: Mapping[str, Setting] = field(default_factory=dict)
    given_by: Mapping[str, Giver] = field(default_factory=dict)
    user_settings: tuple[UserSetting, ...] = ()
    user_values: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)
    """Login -> key of a user setting -> what the stack declares for that user."""


def resolve(report: Report, config: ServerConfig, logins: frozenset[str], secrets: Known) -> Values:
    """Return the entry's values; what is missing or wrong goes to the report."""
    single = report.entry.server_type is ServerType.SINGLE_USER
    # A header and a variable may share a key: a value for everybody then serves both, a user's value the user's own.
    in_order = sorted(report.entry.settings, key=lambda each: (_is_users(each, single=single), _is_header(each)))
    settings = {setting.key.upper(): setting for setting in in_order}
    given = _known_keys(report, "values", config.values, settings)
    everyone: dict[str, tuple[Setting, Text]] = {}
    headers: dict[str, Text] = {}
    given_by: dict[str, Giver] = {}
    own: dict[str, Setting] = {}
    for setting in report.entry.settings:
        path = f"values.{setting.key}"
        value = given.get(setting.key.upper())
        text: Text | None = None
        giver: Giver = "nobody"
        if setting.policy is Policy.FIXED:
            text, giver = Text(setting.value), "catalog"
            if value is not None:
                report.in_stack(path, "has a value that the catalog fixes", "remove it here")
        elif value is not None:
            text, giver = _text(report, path, setting, value, secrets), "stack"
        elif _is_users(setting, single=single):
            giver = "user"
            if setting.key in own:
                report.in_catalog(setting.path, f"{setting.key} is a header and a variable", "give one another key")
            own[setting.key] = setting
            _check_binding(report, path, setting)
            if not _is_header(setting):
                text = Text(UserValue(key=setting.key, sensitive=setting.sensitive))
        else:
            _check_absent(report, path, setting)
        given_by[setting.key] = giver
        if text is not None and _is_header(setting):
            headers[setting.key] = text
        elif text is not None:
            everyone[setting.key] = (setting, text)
    return Values(
        everyone=everyone,
        headers={name: _filled(report, text, everyone) for name, text in headers.items()},
        header_settings={setting.key: setting for setting in report.entry.settings if _is_header(setting)},
        given_by=given_by,
        user_settings=tuple(user_setting(setting) for setting in own.values()),
        user_values=_user_values(report, config, settings, frozenset(own), logins, secrets),
    )


def fill(text: str, values: Values, paths: Mapping[str, str]) -> Text:
    """Put values in place of `${KEY}`; a file's key stands for its path in `paths`."""
    parts: list[str | Open] = []
    for kind, piece in pieces(text):
        if kind == "text":
            parts.append(piece)
        elif piece in paths:
            parts.append(paths[piece])
        elif piece in values.everyone:
            parts.extend(values.everyone[piece][1].pieces)
    return Text(*parts)


def _is_users(setting: Setting, *, single: bool) -> bool:
    """Whether each user gives it where the stack doesn't: a server that users share gets only headers from them."""
    return setting.policy is Policy.USER and (single or _is_header(setting))


def _is_header(setting: Setting) -> bool:
    return setting.usage is Usage.HEADER


def _filled(report: Report, text: Text, everyone: Mapping[str, tuple[Setting, Text]]) -> Text:
    """A header that the catalog fixes may refer to other settings."""
    if not text.is_plain:
        return text
    filled = fill(text.plain, Values(everyone=everyone), {})
    for value in filled.user_values:
        report.in_stack(
            f"values.{value.key}",
            f"{value.key} is part of a header that is the same for everybody, and each user gives it",
            "set a value for everybody",
        )
    return filled


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


def _check_binding(report: Report, path: str, setting: Setting) -> None:
    if setting.secret_binding is not None:
        report.in_stack(
            path,
            f"{setting.key} is bound to a Secret of Kubernetes, which Docker does not have",
            f"set {setting.key}: {{secret: NAME}} to a secret of the stack",
        )


def _check_absent(report: Report, path: str, setting: Setting) -> None:
    _check_binding(report, path, setting)
    if setting.required and setting.secret_binding is None:
        form = "{secret: NAME}, a secret of the stack" if setting.sensitive else "its value"
        report.in_stack(path, f"{setting.key} is required and has no value", f"set it to {form}")


def _text(
    report: Report, path: str, setting: Setting, value: str | Secret, secrets: Known, *, raw: bool = False
) -> Text | None:
    """Return the value with its prefix, or as it stands when `raw`."""
    prefix = "" if raw else setting.prefix
    if isinstance(value, Secret):
        if secrets is not None and value.secret not in secrets:
            report.in_stack(
                path,
                f"the stack has no secret {value.secret}",
                f"run: pulumi config set --secret --path 'mcp-hosting:secrets[\"{value.secret}\"]'",
            )
        return Text(SecretRef(name=value.secret, prefix=prefix))
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
    if not value or value.startswith(prefix):
        return Text(value)
    return Text(prefix, value)


def user_setting(setting: Setting) -> UserSetting:
    """Return what the gateway is told of a setting that each user gives."""
    return UserSetting(
        key=setting.key,
        usage=_USAGES[setting.usage],
        name=line(setting.name) or setting.key,
        description=paragraphs(setting.description),
        required=setting.required,
        sensitive=setting.sensitive,
        prefix=setting.prefix,
        options=tuple(
            SettingOption(name=line(each.name), value=each.value, description=paragraphs(each.description))
            for each in setting.options
        ),
    )


def _user_values(
    report: Report,
    config: ServerConfig,
    settings: Mapping[str, Setting],
    own: frozenset[str],
    logins: frozenset[str],
    secrets: Known,
) -> dict[str, dict[str, Text]]:
    single = report.entry.server_type is ServerType.SINGLE_USER
    found: dict[str, dict[str, Text]] = {}
    for login, values in config.user_values.items():
        place = f"userValues.{login}"
        if login not in logins:
            report.in_stack(place, "is not a user of the stack", "add the user under users, or remove the values")
        for key, value in _known_keys(report, place, values, settings).items():
            setting = settings[key]
            path = f"{place}.{setting.key}"
            if setting.policy is Policy.FIXED:
                report.in_stack(path, "has a value that the catalog fixes", "remove it here")
            elif not _is_users(setting, single=single):
                report.in_stack(
                    path,
                    "is shared by all users of this server",
                    f"set servers.{report.entry.id}.values.{setting.key} for everybody",
                )
            elif value == "":
                report.in_stack(path, "is empty", "give a value, or remove it: the user may give one then")
            elif (text := _text(report, path, setting, value, secrets, raw=True)) is not None and setting.key in own:
                found.setdefault(login, {})[setting.key] = text
    return found
