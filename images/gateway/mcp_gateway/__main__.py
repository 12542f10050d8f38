"""`python -m mcp_gateway PART`: the parts of the gateway, each importing only what it needs."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run one part; its exit status."""
    part, rest = (arguments[0] if arguments else ""), arguments[1:]
    # Parts that read `sys.argv` themselves see their own arguments only.
    sys.argv = [f"mcp_gateway {part}", *rest]
    if part == "edge":
        from mcp_gateway.edge.main import main as edge

        return edge(rest)
    if part == "control":
        from mcp_gateway.control import main as control

        return int(control() or 0)
    if part == "deliver":
        from mcp_gateway.deliver import main as deliver

        return int(deliver() or 0)
    if part == "health":
        from mcp_gateway.health import main as health

        return health(rest)
    if part == "rotate-keys":
        from mcp_gateway.rotate_keys import main as rotate_keys

        return rotate_keys(rest)
    sys.stderr.write("usage: python -m mcp_gateway edge|control|deliver|health|rotate-keys\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
