"""Resource indicators: the server that a client asks a token for (RFC 8707)."""

from __future__ import annotations

from urllib.parse import urlsplit

from mcp_gateway.authorization.errors import OAuthError


def normal_resource(resource: str) -> str:
    """The indicator with scheme and host in lower case and without a default port; the path is taken literally.

    Raises:
        OAuthError: `invalid_target`, when it isn't an absolute URI or has a fragment (RFC 8707 section 2).
    """
    try:
        parts = urlsplit(resource)
        port = parts.port
    except ValueError:
        raise OAuthError("invalid_target", "resource is not a URL") from None
    plain = resource.isascii() and not any(character <= " " or character == "\\" for character in resource)
    if not plain or "#" in resource or "@" in parts.netloc or not parts.scheme or not parts.hostname:
        raise OAuthError("invalid_target", "resource must be an absolute URL without a fragment or a user name")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown_port = "" if port in {None, {"http": 80, "https": 443}.get(parts.scheme)} else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{host}{shown_port}{parts.path}{query}"
