"""The control side's word about users' instances: the table by long poll, starts that tests decide on, reports."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

Key = tuple[str, str]
StartAnswer = tuple[int, dict[str, Any]]


def refuse(request: dict[str, Any]) -> StartAnswer:
    return 503, {"error": "unavailable", "message": "nothing can be started", "retrySeconds": 7, "missing": []}


class Fleet:
    """Which instances there are, and what a start does. `start` runs in a thread of its own for each request."""

    def __init__(self) -> None:
        self.table: dict[Key, str] = {}
        self.version = "t0"
        self.silent = False
        self.starts: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.start: Callable[[dict[str, Any]], StartAnswer] = refuse
        self.changed = threading.Condition()
        self.asked_after: list[str] = []

    def publish(self, table: dict[Key, str]) -> None:
        """Change the table and wait until the edge has asked for what comes after it."""
        with self.changed:
            self.table = dict(table)
            self.version = version = uuid.uuid4().hex
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: version in self.asked_after, timeout=10)

    def announce(self, key: Key, url: str) -> None:
        """Put an instance into the table, as the control side does before it answers the start."""
        with self.changed:
            self.table[key] = url
            self.version = uuid.uuid4().hex
            self.changed.notify_all()

    def serve(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        url = urlsplit(handler.path)
        if url.path == "/internal/instances":
            self._serve_table(handler, parse_qs(url.query, keep_blank_values=True)["after"][0])
        elif url.path == "/internal/instances/start":
            request = json.loads(body)
            with self.changed:
                self.starts.append(request)
                self.changed.notify_all()
            _answer(handler, *self.start(request))
        else:
            with self.changed:
                self.reports.append(json.loads(body))
                self.changed.notify_all()
            _answer(handler, 204, None)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=seconds)

    def _serve_table(self, handler: BaseHTTPRequestHandler, after: str) -> None:
        with self.changed:
            self.asked_after.append(after)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.version != after and not self.silent, timeout=20)
            changed = self.version != after and not self.silent
            instances = [
                {"server": server, "subject": subject, "url": url} for (server, subject), url in self.table.items()
            ]
            body = {"version": self.version, "instances": instances}
        _answer(handler, 200 if changed else 204, body if changed else None)


def _answer(handler: BaseHTTPRequestHandler, status: int, body: dict[str, Any] | None) -> None:
    data = b"" if body is None else json.dumps(body).encode()
    handler.send_response_only(status)
    if body is not None:
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
