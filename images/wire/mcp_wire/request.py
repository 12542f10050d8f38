"""One HTTP request as the server read it."""

from __future__ import annotations


class Request:
    """A request whose head was accepted; immutable by convention once handed to a handler.

    `target` is the request target as sent, `path` and `query` are its two halves around the first `?`, nothing is
    decoded (RFC 9110 section 4.2.3: `%2f` and `/` may differ). `headers` keeps the order of the wire, names in lower
    case; names with an underscore are left out, because CGI-like servers read `X_User` and `X-User` as one. `body` is
    empty until the whole body is there. `peer` is the address of the connection's other end, or `unix`.
    `head` is the same object for requests of one connection whose heads are the same but for the Content-Length.
    """

    __slots__ = ("_first", "body", "head", "headers", "http10", "method", "path", "peer", "query", "target")

    def __init__(
        self, method: str, target: bytes, headers: list[tuple[bytes, bytes]], peer: str, *, http10: bool = False
    ):
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition(b"?")
        self.headers = headers
        self._first = dict(reversed(headers))
        self.peer = peer
        self.http10 = http10
        self.body = b""
        self.head = object()

    def with_length(self, at: int, digits: bytes) -> Request:
        """Return a request with the same head but for header number `at`, the Content-Length, and no body yet."""
        other = Request.__new__(Request)
        other.method, other.target, other.path, other.query = self.method, self.target, self.path, self.query
        other.peer, other.http10, other.body, other.head = self.peer, self.http10, b"", self.head
        other.headers = self.headers.copy()
        other.headers[at] = (b"content-length", digits)
        other._first = self._first | {b"content-length": digits}
        return other

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of header `name` (lower case)."""
        return self._first.get(name)

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of header `name` (lower case), in order."""
        if name not in self._first:
            return []
        return [value for key, value in self.headers if key == name]

    @property
    def has_repeated_headers(self) -> bool:
        """Say whether any header came more than once."""
        return len(self._first) != len(self.headers)
