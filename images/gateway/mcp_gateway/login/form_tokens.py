"""Tokens in forms: signed, bound to the browser and to the form's purpose, against cross-site request forgery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from mcp_gateway.state.opaque import secret_hash

FORM_SECONDS: Final = 600
"""How long a form may stay open before it has to be loaded again, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class FormTokens:
    """Makes and checks form tokens; they also carry what the form decides on, so that nobody can change it."""

    key: bytes = field(repr=False)

    def make(self, purpose: str, binding: str, now: float, *, seconds: int = FORM_SECONDS, **content: str) -> str:
        """A token for one purpose, bound to the secret value of a cookie, for so many seconds."""
        claims = {**content, "for": purpose, "by": secret_hash(binding), "exp": int(now) + seconds}
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(self.key))

    def read(self, token: str, purpose: str, binding: str, now: float) -> dict[str, str] | None:
        """The content of a token, or None when it isn't for this purpose, browser and time."""
        try:
            claims = jwt.decode(token, OctKey.import_key(self.key), algorithms=["HS256"]).claims
        except (JoseError, ValueError):
            return None
        fits = (
            bool(binding) and claims["for"] == purpose and claims["by"] == secret_hash(binding) and claims["exp"] > now
        )
        return {name: str(value) for name, value in claims.items()} if fits else None
