"""Stands for the program in an instance: as the runner (`--config -`), or as an image that speaks HTTP itself."""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        return


def log(text: str, session: str = "") -> None:
    print(json.dumps({"level": "info", "session": session, "text": text}), flush=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    values: dict[str, str] = dict(os.environ)
    bridged = "--config" in sys.argv
    if bridged:
        document = json.loads(sys.stdin.buffer.read())
        values = document["env"] | document.get("secretEnv", {})
        Path("/tmp/received.json").write_text(json.dumps(document))
        for name, text in document.get("files", {}).items():
            Path("/run/mcp/files", name).write_text(text)
    log("listening on a lie", session="child")
    if values.get("API_KEY") == "fail":
        print("the reason of the failure", file=sys.stderr, flush=True)
        sys.exit(3)
    if values.get("API_KEY") == "hang":
        time.sleep(600)
    time.sleep(float(values.get("SLOW", "0.3")))
    if os.access("/data", os.W_OK):
        with Path("/data/starts.txt").open("a") as starts:
            starts.write("started\n")
    server = ThreadingHTTPServer(("0.0.0.0", 8080), Answers)
    log("listening on 0.0.0.0:8080")
    server.serve_forever()


if __name__ == "__main__":
    main()
