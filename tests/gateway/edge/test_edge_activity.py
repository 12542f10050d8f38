"""The control side is told which instances are used, and how, so that it stops no other."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.gateway.edge.edge_world import Seen, new_world
from tests.gateway.edge.homes import ALICE, BOB, PING, homes_in, in_background


def test_use_is_reported_with_calls_under_way(tmp_path: Path) -> None:
    with new_world(tmp_path) as world, homes_in(world) as homes:
        alice, _ = homes.warm(ALICE, BOB)
        fleet = homes.fleet
        go_on, opened = threading.Event(), threading.Event()

        def slow(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
            opened.set()
            go_on.wait(20)
            alice.tell(handler, seen)

        alice.behaviour = slow
        thread, replies = in_background(homes.call)
        listening, _ = in_background(lambda: homes.call(None, method="GET"))
        assert opened.wait(5)
        fleet.wait_for(lambda: len(fleet.reports) >= 1)
        (used,) = fleet.reports[-1]["instances"]
        assert used == {"server": "memory", "subject": "sub-alice", "open": 1, "idleSeconds": 0.0}
        go_on.set()
        thread.join(5)
        listening.join(5)
        assert replies[0].status == 200
        homes.call(PING, "sub-bob")
        fleet.wait_for(lambda: len(fleet.reports[-1]["instances"]) == 2)
        ended = {each["subject"]: each for each in fleet.reports[-1]["instances"]}
        assert [each["open"] for each in ended.values()] == [0, 0]
        assert all(0 < each["idleSeconds"] < 6 for each in ended.values())
        assert len({report["worker"] for report in fleet.reports}) == 1
        fleet.publish({BOB: fleet.table[BOB]})
        fleet.wait_for(lambda: [each["subject"] for each in fleet.reports[-1]["instances"]] == ["sub-bob"])


def test_each_worker_reports_for_itself(tmp_path: Path) -> None:
    with new_world(tmp_path, "--workers", "2") as world, homes_in(world) as homes:
        homes.warm(ALICE, BOB)
        workers = homes.fleet.reports
        for _ in range(200):
            homes.call()
        homes.fleet.wait_for(lambda: len({report["worker"] for report in workers}) == 2)
