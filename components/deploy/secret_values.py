"""Puts secret values and images' ids into texts and documents. What holds a secret leaves as a secret output only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pulumi
from argon2.low_level import Type, hash_secret

from components.plan.text import ImageId, Json, SecretRef, Text, UserValue, images_of, secrets_of

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
        return pulumi.Output.secret(self._filled(text, {})) if text.secrets else text.plain

    def document(self, value: Json, image_id: Callable[[ImageId], pulumi.Input[str]]) -> pulumi.Input[str]:
        """Return a text as it is, anything else as JSON; equal values give equal texts. `image_id` knows the images."""
        if isinstance(value, (str, Text)):
            return self.text(value)
        images = {image.reference: image_id(image) for image in images_of(value)}
        text: pulumi.Input[str] = (
            pulumi.Output.all(**images).apply(lambda ids: self._spelled(value, ids)) if images else self._spelled(value)
        )
        return pulumi.Output.secret(text) if any(secrets_of(value)) else text

    def filled(self, value: Json, image_ids: Mapping[str, str] | None = None) -> Any:
        """Return a document with its secrets in clear; whoever asks keeps it from being seen.

        `image_ids` maps the references of images to their ids.
        """
        if isinstance(value, Text):
            return self._filled(value, image_ids or {})
        if isinstance(value, dict):
            return {key: self.filled(item, image_ids) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item, image_ids) for item in value]
        return value

    def _spelled(self, value: Json, image_ids: Mapping[str, str] | None = None) -> str:
        return json.dumps(self.filled(value, image_ids), ensure_ascii=False, indent=1, sort_keys=True)

    def _filled(self, text: Text, image_ids: Mapping[str, str]) -> str:
        return "".join(piece if isinstance(piece, str) else self._value(piece, image_ids) for piece in text.pieces)

    def _value(self, piece: SecretRef | UserValue | ImageId, image_ids: Mapping[str, str]) -> str:
        if isinstance(piece, UserValue):
            raise TypeError(f"{piece.key} is a user's value, which only the launcher puts in")
        if isinstance(piece, ImageId):
            return image_ids[piece.reference]
        if piece.source == "passwordHash":
            return self._hashes[piece.name]
        value = self.secrets[piece.name]
        return value if not value or value.startswith(piece.prefix) else piece.prefix + value

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
