"""Section 9 of the contracts: what the control side says of instances, read by the edge itself, and the reverse."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest
from mcp_gateway.edge.activity import report
from mcp_gateway.edge.instances import Use, read_table
from mcp_gateway.edge.starting import START_SECONDS, STATUSES, Refused, read_outcome
from mcp_gateway.instances import refusal, service
from mcp_gateway.instances.activity import Activity
from mcp_gateway.instances.handlers import InstanceHandlers
from mcp_gateway.instances.refusal import StartRefused
from mcp_gateway.instances.roster import Roster
from mcp_gateway.instances.service import Instances
from mcp_gateway.instances.view import RUNNING, Launched
from starlette.applications import Starlette
from starlette.routing import Route

URL = "http://10.201.128.2:8080/mcp"


@dataclass
class Told:
    """What stands behind the three requests: the roster and the activity are the real ones."""

    outcome: str | StartRefused = URL
    roster: Roster = field(default_factory=lambda: Roster(lambda key: True))
    activity: Activity = field(default_factory=lambda: Activity(time.monotonic()))
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def monotonic(self) -> float:
        return time.monotonic()

    async def start(self, server: str, subject: str, *, failed: str | None) -> str:
        self.asked.append((server, subject, failed))
        if isinstance(self.outcome, StartRefused):
            raise self.outcome
        return self.outcome


async def ask(told: Told, method: str, path: str, body: bytes = b"") -> httpx.Response:
    handlers = InstanceHandlers(cast(Instances, told))
    site = Starlette(
        routes=[
            Route("/internal/instances", handlers.table),
            Route("/internal/instances/start", handlers.start, methods=["POST"]),
            Route("/internal/instances/active", handlers.active, methods=["POST"]),
        ]
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://control") as client:
        return await client.request(method, path, content=body)


async def test_the_edge_reads_the_table_that_the_control_side_makes() -> None:
    told = Told()
    told.roster.known = told.roster.judged = True
    told.roster.learn(Launched(("memory", "sub-a"), RUNNING, URL, 1.0, "r", True, ""), time.monotonic())
    reply = await ask(told, "GET", "/internal/instances?after=")
    version, table = read_table(json.loads(reply.content))
    assert {key: url for key, (url, _) in table.items()} == {("memory", "sub-a"): URL}
    told.roster.withdraw(("memory", "sub-a"))
    reply = await ask(told, "GET", f"/internal/instances?after={version}")
    assert read_table(json.loads(reply.content))[1] == {}


async def test_the_control_side_takes_the_edges_question_and_the_edge_its_answer() -> None:
    told = Told()
    question = json.dumps({"server": "memory", "subject": "sub-a", "failed": URL}).encode()
    reply = await ask(told, "POST", "/internal/instances/start", question)
    assert read_outcome(reply.status_code, reply.content) == URL
    assert told.asked == [("memory", "sub-a", URL)]


@pytest.mark.parametrize("code", refusal.STATUSES)
async def test_each_refusal_is_read_as_what_it_says(code: str) -> None:
    told = Told(StartRefused(code, "why", 1.5, ["API key"]))
    question = json.dumps({"server": "memory", "subject": "sub-a", "failed": None}).encode()
    reply = await ask(told, "POST", "/internal/instances/start", question)
    assert reply.status_code == STATUSES[code]
    assert read_outcome(reply.status_code, reply.content) == Refused(code, "why", 2, ("API key",))


def test_both_know_the_same_refusals_and_the_edge_waits_longer_than_the_control_side() -> None:
    assert dict(refusal.STATUSES) == STATUSES
    assert service.LAUNCH_SECONDS < START_SECONDS


async def test_the_control_side_takes_the_edges_report() -> None:
    told = Told()
    used, ended = Use(), Use()
    used.open = 2
    ended.last -= 30
    now = time.monotonic()
    body = report("worker", {("memory", "sub-a"): used, ("memory", "sub-b"): ended}, now)
    assert (await ask(told, "POST", "/internal/instances/active", body)).status_code == 204
    told.activity.began = now - 100
    idle: dict[str, Any] = {each: told.activity.idle(("memory", each), now) for each in ("sub-a", "sub-b")}
    assert idle["sub-a"] is None
    assert idle["sub-b"] == pytest.approx(30, abs=5)
