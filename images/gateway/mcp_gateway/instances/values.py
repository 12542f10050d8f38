"""What an instance is started with, and its revision: what shows later whether that has changed. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_gateway.credentials.effective import Effective
from mcp_gateway.documents.servers import Server
from mcp_gateway.documents.user_settings import ENV, FILE
from mcp_gateway.instances.view import Key


@dataclass(frozen=True, slots=True)
class StartValues:
    """`placeholders` are for the launcher; `sensitive` must not show in a log; `missing` are names for the user."""

    placeholders: Mapping[str, str] = field(repr=False)
    revision: str
    sensitive: frozenset[str] = field(repr=False)
    missing: tuple[str, ...]


def start_values(server: Server, subject: str, effective: Effective, revision_key: bytes) -> StartValues:
    """Fill the placeholders of a server's template for one user."""
    own = {
        f"user:{setting.key}": effective.values[setting.key]
        for setting in server.user_settings
        if setting.usage in {ENV, FILE} and setting.key in effective.values
    }
    secrets = dict(server.instance.secrets) if server.instance else {}
    placeholders = own | secrets
    sensitive = set(secrets.values())
    for setting in server.user_settings:
        if setting.sensitive and (value := effective.values.get(setting.key)):
            # A server may write the value without what was put in front of it.
            sensitive |= {value, value.removeprefix(setting.prefix)}
    return StartValues(
        placeholders=placeholders,
        revision=revision((server.id, subject), placeholders, revision_key),
        sensitive=frozenset(sensitive),
        missing=tuple(setting.name for setting in effective.missing),
    )


def revision(key: Key, placeholders: Mapping[str, str], revision_key: bytes) -> str:
    """HMAC-SHA-256 in hexadecimal.

    It is a label that others may read: a plain hash would let them try values, and one without whose it is would show
    that two users have the same.
    """
    content = json.dumps([*key, dict(placeholders)], sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(revision_key, content, hashlib.sha256).hexdigest()
