"""What the documents claim: commands exist and the quick ones run, examples are read, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^[ ]*```(\w+)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)


def fences(language: str) -> list[tuple[str, str]]:
    found = []
    for document in DOCUMENTS:
        for name, text in FENCE.findall(document.read_text()):
            if name == language:
                found.append((str(document.relative_to(ROOT)), textwrap.dedent(text)))
    return found


def commands() -> list[str]:
    """Every `make …` of the documents, in fences and in running text."""
    found = set()
    for document in DOCUMENTS:
        text = document.read_text()
        for line in [*re.findall(r"`(make [^`]+)`", text), *re.findall(r"^(make [^#\n]+)", text, re.MULTILINE)]:
            found.add(re.sub(r"<[^>]*>", "x", line.strip()))
    return sorted(found)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documents_is_a_target_with_variables_that_it_reads(command: str) -> None:
    _, target, *variables = shlex.split(command.split("  ")[0])
    makefile = (ROOT / "Makefile").read_text()
    assert target in targets()
    for variable in variables:
        assert re.search(rf"\b{variable.split('=')[0]}\b", makefile), variable


def test_every_target_is_explained_somewhere() -> None:
    text = " ".join(document.read_text() for document in DOCUMENTS)
    assert {target for target in targets() if f"make {target}" not in text} == set()


@pytest.mark.parametrize(
    "command",
    [
        "make help",
        "make doctor",
        "make validate CATALOG=stacks/catalogs/quickstart",
        "make plan",
        "make plan JSON=1",
    ],
)
def test_a_command_that_changes_nothing_runs(command: str) -> None:
    done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_the_readmes_entry_is_valid(tmp_path: Path) -> None:
    ((_, text),) = [fence for fence in fences("yaml") if fence[0] == "README.md" and "runtime:" in fence[1]]
    entry = tmp_path / "clock.yaml"
    entry.write_text(text)
    done = subprocess.run(
        ["make", "validate", f"CATALOG={entry}"], cwd=ROOT, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "clock" in done.stdout


def settings() -> list[Any]:
    """The stack settings that the documents show, as (place, name, value)."""
    found = []
    for place, text in fences("yaml"):
        read = yaml.safe_load(text)
        for name, value in (read.get("config", read) if isinstance(read, dict) else {}).items():
            if str(name).startswith("mcp-hosting:"):
                found.append(pytest.param(name.removeprefix("mcp-hosting:"), value, id=f"{place} {name}"))
    return found


@pytest.mark.parametrize(("name", "value"), settings())
def test_a_setting_of_the_documents_is_one_that_a_stack_may_hold(name: str, value: Any) -> None:
    from components.config.stack import StackConfig

    StackConfig.model_validate({"catalog": {"include": []}, name: value})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_within_the_project_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text()):
        assert (document.parent / link).exists(), link
