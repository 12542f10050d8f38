"""Answers nginx's `auth_request`: verifies the bearer token once and keeps it by its hash until it expires."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"


class Authorizer:
    """The key, the claims that are wanted, and the tokens that were good."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.key: Any = serialization.load_pem_public_key(settings["publicKey"].encode())
        self.issuer, self.audience = settings["issuer"], settings["audience"]
        self.known: dict[bytes, tuple[float, bytes]] = {}

    def answer(self, token: bytes) -> bytes:
        """Say 204 with the subject, or 401."""
        mark = hashlib.sha256(token).digest()
        if mark not in self.known:
            try:
                claims = self.verified(token)
            except (ValueError, KeyError, InvalidSignature):
                return REFUSED
            good = b"HTTP/1.1 204 No Content\r\nx-mcp-user: %b\r\n\r\n" % claims["sub"].encode()
            self.known[mark] = claims["exp"], good
        expires, good = self.known[mark]
        return good if time.time() < expires else REFUSED

    def verified(self, token: bytes) -> dict[str, Any]:
        """The claims of a good token; raises for any other."""
        head, claims, signature = token.split(b".")
        if json.loads(_bytes(head))["alg"] != "ES256":
            raise ValueError("algorithm")
        raw = _bytes(signature)
        encoded = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        self.key.verify(encoded, head + b"." + claims, ec.ECDSA(hashes.SHA256()))
        found: dict[str, Any] = json.loads(_bytes(claims))
        if (found["iss"], found["aud"]) != (self.issuer, self.audience):
            raise ValueError("claims")
        return found


class Connection(asyncio.Protocol):
    """Reads requests without a body."""

    def __init__(self, authorizer: Authorizer) -> None:
        self.authorizer = authorizer
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            at = head.lower().find(b"\r\nauthorization: bearer ")
            token = head[at + 24 :].split(b"\r\n", 1)[0] if at >= 0 else b""
            self.transport.write(self.authorizer.answer(token))


def _bytes(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


async def serve(settings: dict[str, Any]) -> None:
    authorizer = Authorizer(settings)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(authorizer), "127.0.0.1", settings["port"]
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(json.loads(Path(sys.argv[1]).read_text())))
