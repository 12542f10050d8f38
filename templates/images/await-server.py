"""Waits until an MCP server in the same network namespace is ready: `PORT SECONDS MCP_PATH [HEALTH_PATH]`.

With a health path a plain GET there must answer 200. Without one an MCP `initialize` must be answered, or where that is
not known a GET; a refusal (401, 403) is an answer too, since a server may want each user's own credentials. Ends with
status 1 and the last failure when the time is up.
"""

import json
import sys
import time
from http.client import HTTPConnection, HTTPException

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "mcp-hosting", "version": "1"},
    },
}
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def status(port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Return an answer's status and session, without waiting for its body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body, HEADERS if body else {"Accept": "text/event-stream, */*"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Mcp-Session-Id", "")
    finally:
        connection.close()


def ready(port: int, path: str, health: str) -> tuple[bool, str]:
    """Return whether the server is ready, and what it said."""
    if health:
        found = status(port, "GET", health)[0]
        return found == 200, f"{health} answers {found}"
    found, session = status(port, "POST", path, json.dumps(HELLO))
    if session:
        end(port, path, session)
    if found in (404, 405):
        found = status(port, "GET", path)[0]
    return found < 500 and found != 404, f"{path} answers {found}"


def end(port: int, path: str, session: str) -> None:
    """Leave no session behind."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("DELETE", path, headers={"Mcp-Session-Id": session})
        connection.getresponse()
    except (OSError, HTTPException):
        pass
    finally:
        connection.close()


def main(port: str, seconds: str, path: str, health: str = "") -> int:
    """Ask again until the server is ready or the time is up."""
    until, last = time.monotonic() + float(seconds), "no answer"
    while time.monotonic() < until:
        try:
            done, last = ready(int(port), path, health)
            if done:
                return 0
        except (OSError, HTTPException) as error:
            last = str(error) or type(error).__name__
        time.sleep(0.2)
    sys.stderr.write(f"not ready after {seconds} s: {last}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
