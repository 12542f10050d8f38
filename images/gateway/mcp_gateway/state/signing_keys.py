"""ES256 signing keys: published before they sign, kept until the last token that they signed has expired."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from joserfc.jwk import ECKey
from sqlalchemy import Connection, select

from mcp_gateway.documents.gateway import LONGEST_ACCESS_SECONDS
from mcp_gateway.state.envelope import Envelope
from mcp_gateway.state.schema import signing_keys

ROTATE_AFTER: Final = 30 * 86400
"""Age in seconds at which a key's successor is made."""

PUBLISH_AHEAD: Final = 3600
"""Seconds for which a key is published before it signs, so that every edge and cache knows it by then."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key; `public` is its JWK as published."""

    id: str
    public: Mapping[str, str]
    private: ECKey = field(repr=False)
    created_at: int
    active_from: int


def active_key(keys: Sequence[SigningKey], now: int) -> SigningKey:
    """The key that signs now: the newest that has been published for long enough."""
    return max((key for key in keys if key.active_from <= now), key=lambda key: key.active_from)


def successor_due(keys: Sequence[SigningKey], now: int) -> bool:
    """Whether a new key has to be made."""
    return all(now - key.created_at >= ROTATE_AFTER for key in keys)


def retired(keys: Sequence[SigningKey], now: int) -> list[SigningKey]:
    """The keys whose last token has expired: their successor has signed for longer than a token can live."""
    signing_since = active_key(keys, now).active_from if any(key.active_from <= now for key in keys) else now
    return [key for key in keys if key.active_from < signing_since and now - signing_since > LONGEST_ACCESS_SECONDS]


def load_signing_keys(db: Connection, envelope: Envelope) -> list[SigningKey]:
    """Every key that is published."""
    rows = db.execute(select(signing_keys).order_by(signing_keys.c.created_at)).all()
    return [
        SigningKey(
            row.id,
            row.public,
            ECKey.import_key(envelope.open(row.private, "signing_keys", row.id, "private").decode()),
            row.created_at,
            row.active_from,
        )
        for row in rows
    ]


def rotate_signing_keys(db: Connection, envelope: Envelope, now: int) -> list[SigningKey]:
    """Make the successor that is due and delete what is retired; the first key signs at once."""
    keys = load_signing_keys(db, envelope)
    if successor_due(keys, now):
        key = _create(now, now + PUBLISH_AHEAD if keys else now)
        sealed = envelope.seal(key.private.as_pem(private=True), "signing_keys", key.id, "private")
        db.execute(
            signing_keys.insert().values(
                id=key.id,
                public=dict(key.public),
                private=sealed,
                created_at=key.created_at,
                active_from=key.active_from,
            )
        )
        keys.append(key)
    gone = retired(keys, now)
    for key in gone:
        db.execute(signing_keys.delete().where(signing_keys.c.id == key.id))
    return [key for key in keys if key not in gone]


def _create(now: int, active_from: int) -> SigningKey:
    key_id, private = str(uuid.uuid4()), ECKey.generate_key("P-256", private=True)
    public = cast("dict[str, str]", private.as_dict(private=False))
    shown = {name: public[name] for name in ("kty", "crv", "x", "y")}
    return SigningKey(key_id, {**shown, "kid": key_id, "alg": "ES256", "use": "sig"}, private, now, active_from)
