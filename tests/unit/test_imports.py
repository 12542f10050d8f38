"""Who may import whom: nothing imports upwards, only the two ends know Pulumi, images and components share no code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS: dict[str, frozenset[str]] = {
    "components.errors": frozenset(),
    "components.hardening": frozenset(),
    "components.names": frozenset(),
    "components.catalog": frozenset({"errors", "names"}),
    "components.config": frozenset({"errors", "names", "catalog"}),
    "components.plan": frozenset({"errors", "names", "hardening", "catalog", "config"}),
    "components.render": frozenset({"errors", "names", "hardening", "plan"}),
    "components.inputs": frozenset({"errors", "config", "plan"}),
    "components.deploy": frozenset({"errors", "plan", "render"}),
    "components.cli": frozenset({"errors", "names", "catalog", "config", "plan"}),
}
"""Room -> the rooms of `components` that it may import, besides itself."""

PULUMI = frozenset({"components.inputs", "components.deploy"})
"""The two ends."""

INPUT_AND_OUTPUT = frozenset(
    {"os", "pathlib", "subprocess", "socket", "shutil", "time", "datetime", "random", "secrets"}
)
PURE = ("components.errors", "components.names", "components.hardening", "components.plan", "components.render")
"""Rooms without I/O, clock or chance."""

IMAGES: dict[str, frozenset[str]] = {
    "wire": frozenset({"mcp_wire"}),
    "runner": frozenset({"mcp_runner", "mcp_wire"}),
    "gateway": frozenset({"mcp_gateway", "mcp_wire"}),
    "launcher": frozenset({"mcp_launcher"}),
}
OURS = frozenset({"components", "engine", "policies", "mcp_wire", "mcp_runner", "mcp_gateway", "mcp_launcher"})


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "components")


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def files() -> list[Path]:
    return sorted((ROOT / "components").rglob("*.py"))


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("file", files(), ids=module_of)
def test_a_room_imports_only_what_is_below_it(file: Path) -> None:
    here = room(module_of(file))
    if here == "components.__init__":
        return
    allowed = {here} | {f"components.{name}" for name in LAYERS[here]}
    for name in imported(file):
        if name.startswith("components."):
            assert room(name) in allowed, f"{module_of(file)} imports {name}"
        top = name.split(".")[0]
        assert top not in OURS - {"components"}, f"{module_of(file)} imports {name}"
        if top.startswith("pulumi"):
            assert here in PULUMI, f"{module_of(file)} imports {name}"
        if here in PURE:
            assert top not in INPUT_AND_OUTPUT, f"{module_of(file)} imports {name}"


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_an_image_shares_no_code_with_the_program(image: str) -> None:
    for file in sorted((ROOT / "images" / image).rglob("*.py")):
        for name in imported(file):
            top = name.split(".")[0]
            assert top not in OURS - IMAGES[image], f"{file.relative_to(ROOT)} imports {name}"
            assert not top.startswith("pulumi"), f"{file.relative_to(ROOT)} imports {name}"


def test_the_program_can_be_read_at_a_glance() -> None:
    text = (ROOT / "__main__.py").read_text()
    assert len(text.splitlines()) <= 40
    assert not any(isinstance(node, ast.If) for node in ast.walk(ast.parse(text)))


@pytest.mark.parametrize("file", files(), ids=module_of)
def test_a_file_has_one_job(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400
