"""A stdio server on the official SDK, which speaks both eras (one for each process)."""

from __future__ import annotations

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("sdk")


@server.tool()
async def echo(text: str) -> str:
    """Return the text."""
    return text


@server.tool()
async def steps(count: int, context: Context) -> str:
    """Report progress."""
    for step in range(count):
        await context.report_progress(step, count)
    return "done"


if __name__ == "__main__":
    server.run()
