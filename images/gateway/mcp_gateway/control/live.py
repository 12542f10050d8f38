"""What is in force now: the gateway document and the signing keys, replaced as a whole when they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mcp_gateway.documents.gateway import GatewayDocument
from mcp_gateway.state.signing_keys import SigningKey


@dataclass
class Live:
    """Shared by the handlers, which read each of the two once for a request."""

    keys: Sequence[SigningKey] = field(repr=False)
    document: GatewayDocument | None = None
    refused: tuple[str, ...] = ()
    """What was wrong with the document that was delivered last, if it isn't in force."""

    @property
    def current(self) -> GatewayDocument:
        """The document in force. Requests arrive here only once there is one."""
        if self.document is None:
            raise RuntimeError("no gateway document has been delivered yet")
        return self.document
