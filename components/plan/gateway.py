"""Plans the gateway: its names, its addresses, its users."""

from __future__ import annotations

from urllib.parse import urlsplit

from components.config.stack import StackConfig, is_loopback
from components.errors import Problem
from components.plan import model
from components.plan.addresses import block
from components.plan.text import SecretRef, Text

_DEFAULT_PORTS = {"http": 80, "https": 443}


def gateway(config: StackConfig, passwords: frozenset[str] | None, problems: list[Problem]) -> model.Gateway:
    """Return the gateway's part of the plan; `passwords` are the logins that have one (None: can't be seen here)."""
    subnet, first, second, third = block(config.network.subnets, 0)
    hosts, origins = _names(config.public_url)
    return model.Gateway(
        public_url=_canonical(config.public_url),
        allowed_hosts=hosts,
        allowed_origins=origins,
        listen_address=config.listen.address,
        listen_port=config.listen.port,
        subnet=subnet,
        gateway_address=first,
        edge_address=second,
        control_address=third,
        tokens=model.Tokens(**config.gateway.tokens.model_dump()),
        registration=model.Registration(**config.gateway.registration.model_dump()),
        limits=model.Limits(**config.gateway.limits.model_dump()),
        users=_users(config, passwords, problems),
    )


def _canonical(url: str) -> str:
    """Spell the URL as clients compare it: lower case, no default port, no trailing slash."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port and parts.port != _DEFAULT_PORTS[parts.scheme] else ""
    host = (parts.hostname or "").lower()
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _names(public_url: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The `Host` and `Origin` values that are let in; on loopback its two usual names mean the same place."""
    url = _canonical(public_url)
    scheme, _, authority = url.partition("://")
    host = urlsplit(url).hostname or ""
    port = authority.rpartition(":")[2] if not authority.endswith("]") and ":" in authority else ""
    others = ("127.0.0.1", "localhost") if is_loopback(host) else ()
    authorities = dict.fromkeys((authority, *(f"{name}:{port}" if port else name for name in others)))
    return tuple(authorities), tuple(f"{scheme}://{name}" for name in authorities)


def _users(config: StackConfig, passwords: frozenset[str] | None, problems: list[Problem]) -> tuple[model.User, ...]:
    seen: set[str] = set()
    found = []
    for index, user in enumerate(config.users):
        if user.login in seen:
            problems.append(
                Problem(path=f"users[{index}].login", value=user.login, wrong="stands there twice", remedy="remove one")
            )
        seen.add(user.login)
        if passwords is not None and user.login not in passwords:
            problems.append(
                Problem(
                    path=f"users[{index}]",
                    value=user.login,
                    wrong="has no password",
                    remedy="run `make up`, which makes one, or: pulumi config set --secret --path"
                    f" 'mcp-hosting:passwords[\"{user.login}\"]'",
                )
            )
        found.append(
            model.User(
                login=user.login,
                display_name=user.display_name or user.login,
                email=user.email,
                admin=user.admin,
                groups=user.groups,
                password_hash=Text(SecretRef(name=user.login, source="passwordHash")),
            )
        )
    return tuple(found)
