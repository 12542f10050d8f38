"""Puts secret values into texts and documents. What holds one leaves here as a secret output only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pulumi
from argon2.low_level import Type, hash_secret

from components.plan.text import Json, SecretRef, Text, secrets_of

# OWASP's "Password Storage Cheat Sheet": the smallest recommended cost of argon2id.
_MEMORY_KIB = 19_456
_PASSES = 2
_LANES = 1
_HASH_BYTES = 32
_SALT_BYTES = 16


@dataclass(kw_only=True)
class SecretValues:
    """The stack's secrets, and the hashes of its users' passwords."""

    stack: str
    secrets: Mapping[str, str] = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)

    def text(self, text: Text | str) -> pulumi.Input[str]:
        """Return a text with its secrets put in."""
        if isinstance(text, str):
            return text
        return pulumi.Output.secret(self._filled(text)) if text.secrets else text.plain

    def document(self, value: Json) -> pulumi.Input[str]:
        """Return a text as it is, anything else as JSON; equal values give equal texts."""
        if isinstance(value, (str, Text)):
            return self.text(value)
        text = json.dumps(self.filled(value), ensure_ascii=False, indent=1, sort_keys=True)
        return pulumi.Output.secret(text) if any(secrets_of(value)) else text

    def filled(self, value: Json) -> Any:
        """Return a document with its secrets in clear; whoever asks keeps it from being seen."""
        if isinstance(value, Text):
            return self._filled(value)
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return value

    def _filled(self, text: Text) -> str:
        return "".join(piece if isinstance(piece, str) else self._value(piece) for piece in text.pieces)

    def _value(self, secret: SecretRef) -> str:
        if secret.source == "passwordHash":
            return self._hashes[secret.name]
        value = self.secrets[secret.name]
        return value if not value or value.startswith(secret.prefix) else secret.prefix + value

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {login: password_hash(self.stack, login, text) for login, text in self.passwords.items()}


def password_hash(stack: str, login: str, password: str) -> str:
    """Return the argon2id hash of a password in its encoded form.

    The salt comes from stack and login, so that an unchanged password gives an unchanged hash and `up` makes no change;
    it still differs between users and between stacks, which is what a salt is for.
    """
    salt = hashlib.sha256(f"mcp-hosting/{stack}/{login}".encode()).digest()[:_SALT_BYTES]
    return hash_secret(
        password.encode(),
        salt,
        time_cost=_PASSES,
        memory_cost=_MEMORY_KIB,
        parallelism=_LANES,
        hash_len=_HASH_BYTES,
        type=Type.ID,
    ).decode()
