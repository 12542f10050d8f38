"""The language host under the real Pulumi engine: config, secrets, output, failure, policy packs, and its end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import pulumi_cli
from engine.layout import layout

ROOT = Path(__file__).parents[3]
HOST = ROOT / "engine" / "language-host"
RUNTIME = f"runtime: {{name: python, options: {{virtualenv: {ROOT}/.venv}}}}\n"
PROGRAM = """\
import sys, pulumi
config = pulumi.Config()
print("said by the program")
pulumi.export("plain", config.require("plain"))
pulumi.export("secret", config.require_secret("secret"))
pulumi.export("where", [pulumi.get_project(), pulumi.get_stack(), sys.prefix])
"""
PACK = """\
from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy

def validate(stack, report):
    for resource in stack.resources:
        if resource.props.get("plain") is None and resource.name == "refused":
            report("this one is refused", None)

PolicyPack("pack", policies=[StackValidationPolicy(
    name="refuse", description="refuses", enforcement_level=EnforcementLevel.MANDATORY, validate=validate)])
"""

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]


class Project:
    """A Pulumi project of its own, with a backend of its own, run by the language host under test."""

    def __init__(self, place: Path) -> None:
        self.place = place / "project"
        self.place.mkdir()
        (place / "state").mkdir()
        (self.place / "Pulumi.yaml").write_text(f"name: small\n{RUNTIME}")
        shown = subprocess.run(
            [sys.executable, "-m", "engine", "env", "--json"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        self.env = {**os.environ, **json.loads(shown.stdout), "NO_COLOR": "1"}
        self.env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        built = layout(ROOT, os.environ).cache / "pulumi" / pulumi_cli.build_key(ROOT / "engine" / "pulumi")
        self.env |= {
            # The host under test comes first even where Pulumi's own is installed.
            "PATH": os.pathsep.join([str(HOST), str(built), self.env["PATH"]]),
            "PULUMI_BACKEND_URL": f"file://{place}/state",
            "PULUMI_CONFIG_PASSPHRASE": "only for tests",
        }
        self.pulumi("stack", "init", "one")

    def pulumi(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.place,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=150,
        )

    def program(self, text: str) -> None:
        (self.place / "__main__.py").write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    if shutil.which("pulumi-language-python-exec", path=project.env["PATH"]) is None:
        pytest.fail("pulumi-language-python-exec isn't there: run `make setup`")
    return project


def test_a_program_gets_its_config_and_its_outputs_are_kept(project: Project) -> None:
    project.pulumi("config", "set", "plain", "a value with spaces")
    project.pulumi("config", "set", "--secret", "secret", stdin="kept secret")
    project.program(PROGRAM)
    up = project.pulumi("up", "--yes", "--skip-preview")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "said by the program" in up.stdout
    assert "kept secret" not in up.stdout + up.stderr
    outputs = json.loads(project.pulumi("stack", "output", "--json", "--show-secrets").stdout)
    assert outputs == {
        "plain": "a value with spaces",
        "secret": "kept secret",
        "where": ["small", "one", str(ROOT / ".venv")],
    }
    assert "kept secret" not in project.pulumi("stack", "export").stdout


def test_a_programs_failure_is_shown_once_with_its_own_lines(project: Project) -> None:
    project.program("def cause():\n    raise ValueError('what went wrong')\n\ncause()\n")
    preview = project.pulumi("preview")
    assert preview.returncode != 0
    assert preview.stdout.count("ValueError: what went wrong") == 1
    assert "__main__.py" in preview.stdout


def test_a_policy_pack_is_run_and_its_refusal_stops_the_preview(project: Project, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text(RUNTIME)
    (pack / "__main__.py").write_text(PACK)
    for name, refused in (("accepted", False), ("refused", True)):
        project.program(f"import pulumi\npulumi.ComponentResource('a:b:C', '{name}')\n")
        preview = project.pulumi("preview", "--policy-pack", str(pack))
        assert ("this one is refused" in preview.stdout) is refused, preview.stdout + preview.stderr
        assert (preview.returncode != 0) is refused


@pytest.mark.parametrize("number", [2, 15])
def test_the_host_ends_at_once_on_a_signal(number: int) -> None:
    host = subprocess.Popen(
        [HOST / "pulumi-language-python", "127.0.0.1:1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "MCP_HOSTING_HOME": str(ROOT)},
    )
    assert host.stdout is not None
    assert int(host.stdout.readline()) > 0
    host.send_signal(number)
    assert host.wait(2) == 0


def test_the_host_ends_when_the_engine_is_gone() -> None:
    starter = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True); "
    starter += "p.stdout.readline(); print(p.pid)"
    started = subprocess.run(
        [sys.executable, "-c", starter, HOST / "pulumi-language-python", "127.0.0.1:1"],
        cwd=ROOT,
        env={**os.environ, "MCP_HOSTING_HOME": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    process = Path("/proc", started.stdout.strip(), "stat")

    def runs() -> bool:
        # A zombie has ended; in a container nobody may be there to collect it.
        return process.exists() and process.read_text().rsplit(")", 1)[1].split()[0] != "Z"

    deadline = time.monotonic() + 10
    while runs() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not runs()
