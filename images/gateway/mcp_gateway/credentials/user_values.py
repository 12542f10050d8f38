"""What users gave for a server: each value sealed on its own, bound to its user, server and key."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, select

from mcp_gateway.audit.events import AuditLog
from mcp_gateway.state.envelope import Envelope
from mcp_gateway.state.schema import user_values, users
from mcp_gateway.state.sealed_columns import user_value_row

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Whose value, for which server and setting."""

    user_id: str
    server: str
    key: str

    @property
    def row(self) -> str:
        """What the sealed value is bound to."""
        return user_value_row(*self)


def given(db: Connection, envelope: Envelope, user_id: str, server_id: str) -> dict[str, str]:
    """The values that this user gave for this server, as they were given.

    One that doesn't open, because it was changed or comes from another row, is logged by its place and left out.
    """
    rows = db.execute(
        select(user_values.c.key, user_values.c.value).where(
            user_values.c.user_id == user_id, user_values.c.server == server_id
        )
    )
    opened = {row.key: _opened(envelope, Place(user_id, server_id, row.key), row.value) for row in rows}
    return {key: value for key, value in opened.items() if value is not None}


def put(
    db: Connection, envelope: Envelope, user_id: str, server_id: str, changes: Mapping[str, str | None], now: int
) -> None:
    """Keep values, each in place of the last one; None deletes. Check them first with `effective.problems`."""
    for key, value in changes.items():
        place = Place(user_id, server_id, key)
        _delete(db, place)
        if value is not None:
            sealed = envelope.seal(value.encode(), "user_values", place.row, "value")
            db.execute(
                user_values.insert().values(user_id=user_id, server=server_id, key=key, value=sealed, updated_at=now)
            )


def stored_keys(db: Connection, user_id: str, server_id: str) -> dict[str, int]:
    """Which values this user gave for this server, and when (seconds since 1970); nothing is decrypted."""
    rows = db.execute(
        select(user_values.c.key, user_values.c.updated_at).where(
            user_values.c.user_id == user_id, user_values.c.server == server_id
        )
    )
    return {row.key: row.updated_at for row in rows}


def remove_unusable(db: Connection, usable: Container[tuple[str, str, str]]) -> dict[tuple[str, str], list[str]]:
    """Delete the values whose login, server and key aren't among `usable`; login and server to the keys that went.

    A server that is removed and one that is later added under its name may be different things: it must not be handed
    what was given to the first.
    """
    rows = db.execute(
        select(users.c.login, user_values.c.user_id, user_values.c.server, user_values.c.key).join(
            user_values, user_values.c.user_id == users.c.id
        )
    ).all()
    removed: dict[tuple[str, str], list[str]] = {}
    for login, user_id, server, key in rows:
        if (login, server, key) not in usable:
            _delete(db, Place(user_id, server, key))
            removed.setdefault((login, server), []).append(key)
    return removed


def record_changes(
    audit: AuditLog, login: str, server_id: str, changes: Mapping[str, str | None], *, by: str, address: str | None
) -> None:
    """Write to the audit which values were given and removed: their keys, never the values."""
    for event, keys in (
        ("user-values-given", [key for key, value in changes.items() if value is not None]),
        ("user-values-removed", [key for key, value in changes.items() if value is None]),
    ):
        if keys:
            audit.record(event, login=login, server=server_id, keys=", ".join(sorted(keys)), by=by, address=address)


@dataclass
class OpenedValues:
    """Every user's values at once, for the edge's feed: a value is decrypted anew only when its row has changed."""

    opened: dict[Place, tuple[bytes, str | None]] = field(default_factory=dict, repr=False)

    def read(
        self, db: Connection, envelope: Envelope, servers: Iterable[tuple[str, Sequence[str]]]
    ) -> dict[tuple[str, str], dict[str, str]]:
        """User and server -> key -> value as given, of the servers and keys that are asked for."""
        wanted = {server: frozenset(keys) for server, keys in servers if keys}
        found: dict[Place, tuple[bytes, str | None]] = {}
        given: dict[tuple[str, str], dict[str, str]] = {}
        if wanted:
            columns = (user_values.c.user_id, user_values.c.server, user_values.c.key, user_values.c.value)
            for user_id, server, key, sealed in db.execute(select(*columns)):
                if key not in wanted.get(server, ()):
                    continue
                place = Place(user_id, server, key)
                known = self.opened.get(place)
                if known is None or known[0] != sealed:
                    known = (sealed, _opened(envelope, place, sealed))
                found[place] = known
                if known[1] is not None:
                    given.setdefault((user_id, server), {})[key] = known[1]
        self.opened = found
        return given


def _delete(db: Connection, place: Place) -> None:
    db.execute(
        user_values.delete().where(
            user_values.c.user_id == place.user_id,
            user_values.c.server == place.server,
            user_values.c.key == place.key,
        )
    )


def _opened(envelope: Envelope, place: Place, sealed: bytes) -> str | None:
    try:
        return envelope.open(sealed, "user_values", place.row, "value").decode()
    except (InvalidTag, KeyError, ValueError):
        _log.error("the value of %s for user %s of server %s can't be opened", place.key, place.user_id, place.server)
        return None
