"""`make rotate-keys` against what is rendered: container and interpreter that it looks for are there."""

from __future__ import annotations

from components.render.docker.rendering import render
from engine.key_rotation import COMMAND
from engine.sweep import LABEL, ROLE
from tests.render.stack import full, sources


def test_one_container_has_the_labels_and_runs_the_interpreter_of_the_command() -> None:
    rendered = render(full(), sources())
    found = [
        container
        for part in rendered.parts
        for container in part.containers
        if dict(container.labels).get(ROLE) == "control" and dict(container.labels).get(LABEL) == full().stack
    ]
    assert len(found) == 1
    health = found[0].health
    assert health is not None
    assert tuple(health.test[1:5]) == COMMAND[:4]
    assert {mount.target for mount in found[0].mounts if not mount.read_only} >= {"/keys", "/state"}
