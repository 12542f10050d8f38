"""Names that are always valid DNS-1123 labels and never collide.

Two requirements, as in kubespawner's slugs: every text gives a valid name, and two different texts never give the
same one. A text that is valid already stays as it is; any other is shortened and ends in a digest of the whole text.
The separator before a digest (`--`) is reserved: a text that holds it is never kept as it is, so no plain name can
imitate a digested one.
"""

from __future__ import annotations

import hashlib
import re

LABEL_LENGTH = 63
"""RFC 1123 and RFC 1035: the longest label of a host name."""
SERVER_ID_LENGTH = 40
"""Leaves room for the stack's name in the names of containers and networks."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_TIDY = re.compile(r"[A-Za-z0-9]+([ _-][A-Za-z0-9]+)*")
_SEPARATOR = "--"
_DIGEST_LENGTH = 10


def is_label(text: str, limit: int = LABEL_LENGTH) -> bool:
    """Tell whether a text is a DNS-1123 label of at most `limit` characters."""
    return len(text) <= limit and _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Tell whether a text is a DNS-1123 subdomain (labels joined by dots, at most 253 characters)."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def slug(text: str, limit: int = LABEL_LENGTH) -> str:
    """Return a valid label for any text; different texts give different labels. `limit` is at least 16."""
    if is_label(text, limit) and _SEPARATOR not in text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    readable = re.sub(r"[^a-z0-9]+", "-", text.lower())[: limit - len(digest) - len(_SEPARATOR)].strip("-")
    return f"{readable or 'x'}{_SEPARATOR}{digest}"


def server_id(key: str) -> str:
    """Return a server's id from its entryKey, or from its name when it has none.

    A tidy name is only put in lower case with hyphens ("Acme Tickets" becomes "acme-tickets") because the id is what
    people see in the server's URL. Two entries of one stack that meet in one id this way are refused when the catalog
    is loaded.
    """
    if len(key) <= SERVER_ID_LENGTH and _TIDY.fullmatch(key):
        return re.sub(r"[ _]", "-", key.lower())
    return slug(key, SERVER_ID_LENGTH)


def is_reserved(identifier: str) -> bool:
    """Tell whether a server's id would meet a name of the gateway's own (docs/contracts.md, section 7)."""
    return identifier == "gateway" or identifier.startswith("gateway-")


def resource(stack: str, part: str) -> str:
    """Return the name `mcp-<stack>-<part>` that containers, networks and volumes carry, always a valid label.

    `part` is a server's id, or a name of the project's own such as `gateway-edge`.
    """
    plain = f"mcp-{slug(stack, 30)}-{part}"
    return plain if is_label(plain) else slug(plain)
