"""What is allowed but worth knowing about an entry, for those who review a catalog."""

from __future__ import annotations

from components.catalog import hosts, references
from components.catalog.entry import (
    ContainerizedConfig,
    Entry,
    NpxConfig,
    Policy,
    RemoteConfig,
    ServerType,
    Usage,
    UvxConfig,
)
from components.catalog.packages import npm_package, python_package


def source(entry: Entry) -> str:
    """Return what the server comes from: package, image, URL or components."""
    match entry.runtime_config:
        case NpxConfig(package=text) | UvxConfig(package=text) | ContainerizedConfig(image=text):
            return text
        case RemoteConfig(fixed_url=url, hostname=host, url_template=template):
            return url or host or template
        case composite:
            return ", ".join(component.entry or component.server for component in composite.components)


def notes(entry: Entry) -> tuple[str, ...]:
    """Return short remarks, none of which keeps the entry from being read."""
    found = [*_pin(entry), *_secrets(entry), *_remote(entry)]
    needed = [s.key for s in entry.settings if s.policy is Policy.OPERATOR and s.required and not s.secret_binding]
    if needed:
        found.append(f"the stack gives {', '.join(needed)}")
    if entry.volume:
        single = entry.server_type is ServerType.SINGLE_USER
        found.append(f"a volume for each user at {entry.volume}" if single else "metadata.volume: single-user only")
    if any(setting.secret_binding for setting in entry.settings):
        found.append("secretBinding: Kubernetes only")
    return tuple(found)


def _pin(entry: Entry) -> list[str]:
    config = entry.runtime_config
    if isinstance(config, NpxConfig | UvxConfig):
        package = npm_package(config.package) if isinstance(config, NpxConfig) else python_package(config.package)
        return [] if package is not None and package.version else ["version not pinned"]
    if isinstance(config, ContainerizedConfig) and "@sha256:" not in config.image:
        tag = config.image.rsplit("/", 1)[-1].partition(":")[2]
        return ["image tag floats"] if tag in ("", "latest") else ["image not pinned by digest"]
    return []


def _secrets(entry: Entry) -> list[str]:
    config = entry.runtime_config
    if isinstance(config, RemoteConfig) or not isinstance(config, NpxConfig | UvxConfig | ContainerizedConfig):
        return []
    sensitive = {s.key for s in entry.settings if s.sensitive and s.usage not in (Usage.FILE, Usage.DYNAMIC_FILE)}
    used = sensitive & {key for argument in config.args for key in references.names(argument)}
    return [f"secret in arguments: {', '.join(sorted(used))}"] if used else []


def _remote(entry: Entry) -> list[str]:
    config = entry.runtime_config
    if not isinstance(config, RemoteConfig):
        return []
    found = ["sign-in needs a client id from the server's owner"] if config.static_oauth_required else []
    if config.hostname:
        found.append("the stack gives the URL")
    if config.fixed_url and not references.names(config.fixed_url):
        if hosts.is_private(config.fixed_url):
            found.append("private host: the stack must allow it")
        elif config.fixed_url.startswith("http:"):
            found.append("plain http: the stack must allow it")
    return found
