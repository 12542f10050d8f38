"""What a reviewer reads: the rendering of a whole stack as YAML. `UPDATE_SNAPSHOTS=1` writes it anew."""

from __future__ import annotations

import io
import os
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from components.plan.text import Text
from components.render.docker.rendering import render
from components.render.docker.spec import DockerRendering
from components.render.gateway import gateway_document
from tests.render.stack import full, sources

SNAPSHOTS = Path(__file__).parent / "snapshots"


def plain(value: object) -> Any:
    """Specs as YAML shows them: only what is set, secrets by name, contexts by their files' names."""
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if is_dataclass(value) and not isinstance(value, type):
        shown = {each.name: getattr(value, each.name) for each in fields(value)}
        return {name: plain(item) for name, item in shown.items() if item not in ((), {}, None)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


def written(value: object) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump(plain(value), stream)
    return stream.getvalue()


@cache
def documents() -> dict[str, str]:
    rendering: DockerRendering = render(full(), sources())
    found = {f"docker-{part.id}.yaml": written(part) for part in rendering.parts}
    found["gateway-document.yaml"] = written(gateway_document(full()))
    for image in rendering.images:
        name = image.name.removeprefix("mcp-hosting/").partition(":")[0]
        found[f"image-{name}.Dockerfile"] = image.files["Dockerfile"].decode()
    return found


@pytest.mark.parametrize("name", sorted(documents()))
def test_the_rendering_is_what_was_reviewed(name: str) -> None:
    text, file = documents()[name], SNAPSHOTS / name
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOTS.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.read_text() == text, "set UPDATE_SNAPSHOTS=1 to accept, then review the difference"


def test_no_snapshot_is_left_over() -> None:
    assert {file.name for file in SNAPSHOTS.iterdir()} == set(documents())
