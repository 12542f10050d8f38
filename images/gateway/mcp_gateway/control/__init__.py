"""The control side: authorization server, sign-in, pages, and the feed that tells the edge what to let through."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run the control side until it is told to stop; the exit code is 0 then."""
    # Not at the top: documents and pages are used without a server, and importing one takes a while.
    from mcp_gateway.control.serve import run

    return run(arguments)
