"""Parameters of a request: each may be given once only (RFC 6749 section 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from mcp_gateway.authorization.errors import OAuthError

LARGEST_BODY: Final = 64 * 1024
"""Bytes of a form or a JSON body."""

_MOST_PARAMETERS: Final = 100


@dataclass(frozen=True, slots=True)
class Parameters:
    """Names and values in the order of the request."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, encoded: bytes) -> Parameters:
        """Parse what is form-urlencoded. Raises OAuthError `invalid_request`."""
        try:
            text = encoded.decode("ascii")
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            raise OAuthError("invalid_request", "The parameters are not valid UTF-8, form-urlencoded") from None
        return cls(tuple(pairs))

    def repeated(self) -> set[str]:
        """The names that are given more than once."""
        return {name for name, count in Counter(name for name, _ in self.pairs).items() if count > 1}

    def refuse_repeated(self, known: Iterable[str]) -> None:
        """Raise OAuthError `invalid_request` when one of the known parameters is given more than once."""
        if repeated := self.repeated() & set(known):
            raise OAuthError("invalid_request", f"Given more than once: {', '.join(sorted(repeated))}")

    def get(self, name: str) -> str:
        """The value, or the empty string: one without a value counts as left out (RFC 6749 section 3.1)."""
        return next((value for key, value in self.pairs if key == name), "")

    def required(self, name: str) -> str:
        """The value. Raises OAuthError `invalid_request`."""
        value = self.get(name)
        if not value:
            raise OAuthError("invalid_request", f"{name} is missing")
        return value


async def read_body(request: Request, content_type: str) -> bytes:
    """The body, if it is of this type and not too large. Raises OAuthError `invalid_request`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != content_type:
        raise OAuthError("invalid_request", f"The body must be {content_type}", 415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise OAuthError("invalid_request", f"The body is larger than {LARGEST_BODY} bytes", 413)
    return bytes(body)


async def read_form(request: Request) -> Parameters:
    """The parameters of a form. Raises OAuthError `invalid_request`."""
    return Parameters.parse(await read_body(request, "application/x-www-form-urlencoded"))
