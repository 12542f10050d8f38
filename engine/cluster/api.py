"""Speaking to the cluster's API server: a few requests under a client certificate."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError

TIMEOUT = 10
MANAGER = "mcp-hosting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The API server at `host`:`port`, spoken to as its administrator."""

    host: str
    port: int
    certificates: Path

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Send one request; returns status and body. OSError when the server can't be reached."""
        context = ssl.create_default_context(cafile=str(self.certificates / "cluster-ca.crt"))
        context.load_cert_chain(self.certificates / "admin.crt", self.certificates / "admin.key")
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT, context=context)
        try:
            kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
            sent = json.dumps(body) if body is not None else None
            connection.request(method, path, sent, {"Content-Type": kind, "Accept": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object; None when there is none or the server doesn't answer."""
        try:
            status, body = self.request("GET", path)
        except OSError:
            return None
        return json.loads(body) if status == 200 else None

    def apply(self, path: str, content: Mapping[str, Any]) -> None:
        """Bring an object to this state by server-side apply. Raises EngineError with the server's reason."""
        status, body = self.request("PATCH", f"{path}?fieldManager={MANAGER}&force=true", content)
        if status not in (200, 201):
            reason = json.loads(body or b"{}").get("message", f"HTTP {status}")
            raise EngineError(f"the cluster refuses {path}: {reason}", "make cluster-down, then make cluster")
