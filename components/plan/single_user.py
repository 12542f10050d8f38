"""Plans what each user of a single-user server has of their own: an instance's life, its volume, its headers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from components.catalog.entry import Runtime, ServerType
from components.catalog.volume import path_wrong
from components.config.stack import ServerConfig, StackConfig, Volume
from components.errors import shown
from components.plan.model import Instance, RunAs
from components.plan.report import Report
from components.plan.values import Values, user_setting

FIELDS = ("idle_seconds", "volume")
"""What a stack may say of single-user servers only."""


def instance(report: Report, config: ServerConfig, stack: StackConfig) -> Instance:
    """Return what every instance of the server has."""
    uid, _, gid = (config.user or "").partition(":")
    return Instance(
        idle_seconds=stack.instances.idle_seconds if config.idle_seconds is None else config.idle_seconds,
        volume=_volume(report, config),
        user=RunAs(uid=int(uid), gid=int(gid or uid)) if uid else None,
    )


def check_kind(report: Report, config: ServerConfig) -> None:
    """Refuse what is for single-user servers on any other; an entry's wish for a volume is a remark there."""
    if report.entry.server_type is ServerType.SINGLE_USER:
        return
    for field in FIELDS:
        if field in config.model_fields_set:
            report.in_stack(
                ServerConfig.model_fields[field].alias or field,
                f"has no meaning for a {report.entry.server_type} server",
                "remove it; it is for serverUserType: singleUser",
            )
    if report.entry.volume:
        report.warnings.append("asks for a volume for each user, and only single-user servers have one")


def with_shared_headers(report: Report, values: Values, logins: Iterable[str]) -> Values:
    """Make headers that are the same for everybody each user's own, declared by the stack.

    An instance has no upstream of which all users' headers could be a part.
    """
    settings = list(values.user_settings)
    declared = {login: dict(texts) for login, texts in values.user_values.items()}
    for key, text in values.headers.items():
        setting = values.header_settings[key]
        if any(other.key == key for other in values.user_settings):
            report.in_catalog(setting.path, f"{key} is a header and a variable", "give one another key")
        if not text.pieces:
            continue
        settings.append(replace(user_setting(setting), prefix="", options=()))
        for login in logins:
            declared.setdefault(login, {})[key] = text
    return replace(values, headers={}, user_settings=tuple(settings), user_values=declared)


def _volume(report: Report, config: ServerConfig) -> str | None:
    if config.volume is None:
        return report.entry.volume or None
    if not isinstance(config.volume, Volume):
        return None
    path = config.volume.path
    wrong = path_wrong(path, packaged=report.entry.runtime in (Runtime.NPX, Runtime.UVX))
    if wrong is not None:
        report.in_stack("volume.path", wrong, "write a folder of the server's own, such as /data", shown(path))
    return path
