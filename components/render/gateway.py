"""The gateway document (docs/contracts.md, section 1)."""

from __future__ import annotations

from collections.abc import Mapping

from components.plan.model import Gateway, HostingPlan, Instance, Server, User, UserSetting
from components.plan.text import Json, Text
from components.render.placeholders import placeholder, secrets_of_hosted

VERSION = 2


def gateway_document(plan: HostingPlan) -> dict[str, Json]:
    """Return the document; secrets in it are references."""
    gateway = plan.gateway
    return {
        "version": VERSION,
        "stack": plan.stack,
        "publicUrl": gateway.public_url,
        "allowedHosts": list(gateway.allowed_hosts),
        "allowedOrigins": list(gateway.allowed_origins),
        "tokens": {
            "accessSeconds": gateway.tokens.access_seconds,
            "refreshSeconds": gateway.tokens.refresh_seconds,
            "codeSeconds": gateway.tokens.code_seconds,
        },
        "registration": {
            "dynamic": gateway.registration.dynamic,
            "metadataDocuments": gateway.registration.metadata_documents,
            "metadataDomains": list(gateway.registration.metadata_domains),
            "nativeRedirectUris": list(gateway.registration.native_redirect_uris),
        },
        "users": [_user(user) for user in gateway.users],
        "servers": [_server(server, gateway) for server in plan.servers],
    }


def _user(user: User) -> Json:
    return {
        "login": user.login,
        "displayName": user.display_name,
        "email": user.email,
        "admin": user.admin,
        "groups": list(user.groups),
        "passwordHash": user.password_hash,
    }


def _server(server: Server, gateway: Gateway) -> Json:
    return {
        "id": server.id,
        "name": server.name,
        "description": server.description,
        "icon": server.icon,
        "kind": server.kind,
        "path": server.path,
        "upstream": _upstream(server),
        "instance": _instance(server),
        "userValues": {login: _sorted(values) for login, values in sorted(server.user_values.items())},
        "userSettings": [_setting(setting) for setting in server.user_settings],
        "access": {
            "everyone": server.access.everyone,
            "users": list(server.access.users),
            "groups": list(server.access.groups),
        },
        "tools": {"allowed": None if server.tools is None else list(server.tools)},
        "limits": {
            "requestBytes": gateway.limits.request_bytes,
            "callsPerMinute": gateway.limits.calls_per_minute,
            "answerSeconds": gateway.limits.answer_seconds,
        },
    }


def _upstream(server: Server) -> Json:
    if server.upstream is None:
        return None
    return {"url": server.upstream, "reach": server.reach, "headers": _sorted(server.headers), "caFile": None}


def _instance(server: Server) -> Json:
    """How each user's instance lives, and the stack's secrets that the launcher is given for its placeholders."""
    run = server.hosted
    if run is None or not isinstance(run.where, Instance):
        return None
    return {
        "idleSeconds": run.where.idle_seconds,
        "startSeconds": run.startup_seconds,
        "volume": run.where.volume is not None,
        "secrets": {placeholder(secret): Text(secret) for secret in secrets_of_hosted(run)},
    }


def _sorted(texts: Mapping[str, Text]) -> dict[str, Json]:
    return {name: texts[name] for name in sorted(texts)}


def _setting(setting: UserSetting) -> Json:
    return {
        "key": setting.key,
        "usage": setting.usage,
        "name": setting.name,
        "description": setting.description,
        "required": setting.required,
        "sensitive": setting.sensitive,
        "prefix": setting.prefix,
        "options": [
            {"name": option.name, "value": option.value, "description": option.description}
            for option in setting.options
        ],
    }
