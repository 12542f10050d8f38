"""Answers for a caller who has not given values that a server needs: where to give them, in the form the client takes.

URL mode elicitation (MCP 2025-11-25 and 2026-07-28, client/elicitation) sends the user to the portal's page of the
server. The URL is the same for everyone: it holds nothing of the user and signs nobody in, the page asks who is there
and keeps what is given for that user alone. Nothing is remembered here: whether the values have come is in the edge
document, so an answer to an elicitation decides nothing but whether to ask again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from mcp_gateway.edge import answers
from mcp_gateway.edge.answers import Answer, http_error, rpc_error, rpc_result
from mcp_gateway.edge.messages import Message

REASON = "values missing"

_MAY_ASK = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests that may be answered by asking for input (MCP 2026-07-28, basic/patterns/mrtr)."""
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_INPUT = "values"


def missing_values(issuer: str, server: str, names: Sequence[str], read: Message | None) -> Answer:
    """The answer to a call, or to a request without a message, of a user whose `names` are missing."""
    url = f"{issuer}/servers/{server}"
    text = f"This server needs values that you have not given: {', '.join(names)}. Enter them at {url}"
    if read is None:
        return http_error(403, text, reason=REASON)
    params = orjson.loads(read.body).get("params") or {}
    if read.id is not None and read.modern and read.method in _MAY_ASK:
        if _takes_urls((params.get("_meta") or {}).get(_CAPABILITIES)) and not _was_declined(params):
            elicitation = {"mode": "url", "message": text, "url": url}
            asked = {_INPUT: {"method": "elicitation/create", "params": elicitation}}
            return rpc_result(read.id, {"resultType": "input_required", "inputRequests": asked}, reason=REASON)
    elif read.id is not None and read.method == "initialize" and _takes_urls(params.get("capabilities")):
        elicitation = {"mode": "url", "elicitationId": uuid.uuid4().hex, "message": text, "url": url}
        return rpc_error(
            200,
            answers.URL_ELICITATION_REQUIRED,
            text,
            id=read.id,
            data={"elicitations": [elicitation]},
            reason=REASON,
        )
    return read.refusal(answers.REFUSED, text, reason=REASON)


def _takes_urls(capabilities: Any) -> bool:
    """Whether a client's capabilities say that it opens URLs; an empty `elicitation` means forms only."""
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    return isinstance(elicitation, dict) and isinstance(elicitation.get("url"), dict)


def _was_declined(params: dict[str, Any]) -> bool:
    responses = params.get("inputResponses")
    response = responses.get(_INPUT) if isinstance(responses, dict) else None
    return isinstance(response, dict) and response.get("action") in ("decline", "cancel")
