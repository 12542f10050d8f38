"""The users of the gateway document: local accounts as the stack declares them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mcp_gateway.documents.fields import Fields

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>\d{1,7}),t=(?P<passes>\d{1,2}),p=(?P<lanes>\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}"
)


@dataclass(frozen=True, slots=True)
class User:
    """A local account as the stack declares it."""

    login: str
    display_name: str
    email: str
    admin: bool
    groups: tuple[str, ...]
    password_hash: str = field(repr=False)


def declared_user(fields: Fields) -> User:
    """Read one user."""
    user = User(
        login=fields.text("login", longest=128),
        display_name=fields.text("displayName", longest=200, empty=True),
        email=fields.text("email", longest=320, empty=True),
        admin=fields.flag("admin"),
        groups=fields.texts("groups"),
        password_hash=fields.text("passwordHash", longest=300),
    )
    if user.login and not _LOGIN.fullmatch(user.login):
        fields.problem("login", "must be letters, digits and . _ @ + - only")
    if user.password_hash:
        match = _ARGON2ID.fullmatch(user.password_hash)
        if match is None:
            fields.problem("passwordHash", "must be an argon2id hash ($argon2id$v=19$...)")
        elif not (19456 <= int(match["memory"]) <= 1048576 and 2 <= int(match["passes"]) <= 20):
            fields.problem("passwordHash", "must use 19 MiB to 1 GiB of memory and 2 to 20 passes")
    fields.done()
    return user
