"""Where a secret would be seen: `docker inspect` shows a container's environment, the process list its arguments.

The same holds for the stack's secrets and for what users give for a sensitive setting.
"""

from __future__ import annotations

from components.catalog.entry import Usage
from components.config.stack import ServerConfig
from components.plan.model import Deviation
from components.plan.report import Report
from components.plan.text import Text
from components.plan.values import Values


def check_exposure(
    report: Report, config: ServerConfig, values: Values, *, bridged: bool, arguments: tuple[Text, ...]
) -> None:
    """Refuse each exposure that the stack doesn't allow with a reason; an allowed one becomes a deviation."""
    if not bridged:
        _environment(report, config, values)
    _arguments(report, config, arguments, bridged=bridged)


def _environment(report: Report, config: ServerConfig, values: Values) -> None:
    shown = [setting for setting, text in values.everyone.values() if setting.usage is Usage.ENV and text.sensitive]
    if not shown:
        return
    if config.secrets_in_environment is not None:
        report.deviations.append(Deviation(name="secretsInEnvironment", reason=config.secrets_in_environment.reason))
        return
    for setting in shown:
        report.in_catalog(
            setting.path,
            f"{setting.key} is sensitive and would be in the container's environment, which docker inspect shows",
            "add file: true where the server can read it from a file, or set"
            f" servers.{report.entry.id}.secretsInEnvironment: {{reason: ...}}",
        )


def _arguments(report: Report, config: ServerConfig, arguments: tuple[Text, ...], *, bridged: bool) -> None:
    if not any(text.sensitive for text in arguments):
        return
    if config.secrets_in_arguments is not None:
        report.deviations.append(Deviation(name="secretsInArguments", reason=config.secrets_in_arguments.reason))
        return
    names = {secret.name for text in arguments for secret in text.secrets}
    names |= {value.key for text in arguments for value in text.user_values if value.sensitive}
    report.in_catalog(
        f"{report.entry.runtime}Config.args",
        f"sensitive values ({', '.join(sorted(names))}) would be on the command line, which "
        + ("the process list shows" if bridged else "docker inspect and the process list show"),
        f"let the server read them from its environment or a file, or set servers.{report.entry.id}."
        "secretsInArguments: {reason: ...}",
    )
