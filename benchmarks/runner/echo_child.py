"""The stdio server behind every bridge that is measured: it echoes tool calls, on the standard library alone."""

import json
import sys


def main() -> None:
    """Answer line by line until standard input ends."""
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result(message)}
        sys.stdout.buffer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
        sys.stdout.buffer.flush()


def result(message: dict[str, object]) -> dict[str, object]:
    """What each method answers."""
    params = message.get("params") or {}
    match message["method"], params:
        case "initialize", {"protocolVersion": version}:
            return {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            }
        case "tools/list", _:
            tool = {"name": "echo", "description": "Echoes", "inputSchema": {"type": "object"}}
            return {"tools": [tool]}
        case "tools/call", {"arguments": {"text": text}}:
            return {"content": [{"type": "text", "text": text}]}
        case _:
            return {}


if __name__ == "__main__":
    main()
