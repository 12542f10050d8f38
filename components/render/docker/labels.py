"""Labels of everything that is made for a stack (docs/contracts.md, section 7)."""

from __future__ import annotations

STACK = "mcp-hosting.stack"
PART = "mcp-hosting.part"
ROLE = "mcp-hosting.role"
EDGE_ADDRESS = "mcp-hosting.edge-address"
PROCESSES = "mcp-hosting.processes"
DEVIATIONS = "mcp-hosting.deviations"


def labels(stack: str, part: str, role: str, **more: str) -> dict[str, str]:
    """Return the labels of one thing; `more` are `processes`, `edge_address` or `deviations`."""
    extra = {"processes": PROCESSES, "edge_address": EDGE_ADDRESS, "deviations": DEVIATIONS}
    return {STACK: stack, PART: part, ROLE: role} | {extra[name]: value for name, value in more.items() if value}
