"""Access tokens (RFC 9068): verified once, then known by their hash; what can change is checked on every use."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from mcp_wire.strict_json import StrictJsonError, parse

MAX_TOKEN_BYTES = 8192
CACHE_SIZE = 10_000
NOT_BEFORE_LEEWAY_SECONDS = 5
"""The control side may run on another machine, whose clock is a little ahead."""

_HEADER_NAMES = frozenset({"alg", "typ", "kid"})
_VISIBLE = re.compile(r"[\x21-\x7e]{1,512}")
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]+")
_ES256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Token:
    """The claims of a token whose signature, type and issuer are right. Times are seconds since the epoch."""

    subject: str
    client: str
    identifier: str
    audience: str
    scopes: frozenset[str]
    issued: int
    not_before: int
    expires: int


def public_key(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a JWK (RFC 7518 section 6.2); raises ValueError for any other."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or jwk.get("alg", "ES256") != "ES256":
        raise ValueError("want an EC key on P-256 for ES256")
    x, y = (int.from_bytes(_base64url(str(jwk[part]).encode()), "big") for part in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


class Verifier:
    """Verifies tokens of one issuer under a fixed set of keys, and remembers the good ones by their SHA-256.

    Only tokens with a good signature are remembered, so nobody can push others out without tokens of their own.
    """

    def __init__(self, issuer: str, keys: Mapping[str, ec.EllipticCurvePublicKey]):
        self._issuer = issuer
        self._keys = dict(keys)
        self._known: dict[bytes, Token] = {}

    def token(self, compact: bytes) -> Token | None:
        """The token, or None when it isn't one of this issuer's; the caller checks `is_live`, audience and scope."""
        digest = hashlib.sha256(compact).digest()
        known = self._known.get(digest)
        if known is None and (known := self._verified(compact)) is not None:
            if len(self._known) >= CACHE_SIZE:
                del self._known[next(iter(self._known))]
            self._known[digest] = known
        return known

    def _verified(self, compact: bytes) -> Token | None:
        parts = compact.split(b".")
        if len(compact) > MAX_TOKEN_BYTES or len(parts) != 3:
            return None
        try:
            header, _ = parse(_base64url(parts[0]), depth=4)
            # No `jku`, `jwk`, `x5u`, `crit`: the key is ours by its id, the algorithm is fixed (RFC 8725 section 3.1).
            if not isinstance(header, dict) or header.keys() != _HEADER_NAMES or not isinstance(header["kid"], str):
                return None
            if header["alg"] != "ES256" or header["typ"] != "at+jwt":
                return None
            key = self._keys.get(header["kid"])
            signature = _base64url(parts[2])
            if key is None or len(signature) != 64:
                return None
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(encode_dss_signature(r, s), parts[0] + b"." + parts[1], _ES256)
            claims, _ = parse(_base64url(parts[1]), depth=8)
        except (ValueError, StrictJsonError, InvalidSignature):
            return None
        return _token(claims, self._issuer)


def is_live(
    token: Token,
    now: float,
    revoked_tokens: Container[str],
    revoked_before: Mapping[str, float],
    *,
    grace: bool = False,
) -> bool:
    """Whether the token is valid at `now` and hasn't been revoked, by itself or with all of its subject's.

    With `grace` the expiry doesn't count: a stream that began in time may go on.
    """
    return (
        (now < token.expires or grace)
        and token.not_before <= now + NOT_BEFORE_LEEWAY_SECONDS
        and token.identifier not in revoked_tokens
        and token.issued >= revoked_before.get(token.subject, 0)
    )


def _token(claims: Any, issuer: str) -> Token | None:
    if not isinstance(claims, dict) or claims.get("iss") != issuer:
        return None
    scope = claims.get("scope")
    try:
        return Token(
            subject=_text(claims, "sub"),
            client=_text(claims, "client_id"),
            identifier=_text(claims, "jti"),
            audience=_text(claims, "aud"),
            scopes=frozenset(scope.split(" ") if isinstance(scope, str) else ()),
            issued=_time(claims, "iat"),
            not_before=_time(claims, "nbf"),
            expires=_time(claims, "exp"),
        )
    except ValueError:
        return None


def _text(claims: dict[str, Any], name: str) -> str:
    # These texts go into headers and the audit trail: visible ASCII only.
    value = claims.get(name)
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise ValueError(f"{name} isn't visible ASCII")
    return value


def _time(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    # A boolean is an int in Python, not in JSON.
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} isn't a time")
    return value


def _base64url(text: bytes) -> bytes:
    """RFC 7515 section 2: no padding, no other character, and one spelling for each value only."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    try:
        value = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(value).rstrip(b"=") != text:
        raise ValueError("not canonical base64url")
    return value
