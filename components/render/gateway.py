"""The gateway document (docs/contracts.md, section 1)."""

from __future__ import annotations

from collections.abc import Mapping

from components.plan.model import Gateway, HostingPlan, Server, User, UserSetting
from components.plan.text import Json, Text

VERSION = 1


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
        "upstream": {
            "url": server.upstream,
            "reach": server.reach,
            "headers": _headers(server.headers),
            "caFile": None,
        },
        "userHeaders": {login: _headers(headers) for login, headers in sorted(server.user_headers.items())},
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


def _headers(headers: Mapping[str, Text]) -> dict[str, Json]:
    return {name: headers[name] for name in sorted(headers)}


def _setting(setting: UserSetting) -> Json:
    return {
        "key": setting.key,
        "name": setting.name,
        "description": setting.description,
        "required": setting.required,
        "sensitive": setting.sensitive,
        "prefix": setting.prefix,
    }
