"""Running other programs: what is shown of a failure, and what an interruption leaves."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.console import Console, duration
from engine.errors import EngineError
from engine.process import attached, capture, logged


def test_a_failure_shows_the_end_of_the_log_and_where_it_is(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "build.log"
    script = "import sys; [print('line', n) for n in range(100)]; print('the reason', file=sys.stderr); sys.exit(3)"
    with pytest.raises(EngineError) as raised:
        logged([sys.executable, "-u", "-c", script], log, remedy="do this")
    message = str(raised.value)
    assert "the reason" in message
    assert "line 99" in message
    assert "line 50" not in message
    assert str(log) in message
    assert raised.value.remedy == "do this"
    assert "line 50" in log.read_text()


def test_a_missing_program_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no-such-program"):
        logged(["no-such-program"], tmp_path / "log", remedy="install it")
    assert capture(["no-such-program"]).code == 127


def test_a_program_that_does_not_answer_is_given_up() -> None:
    asked = capture([sys.executable, "-c", "import time; time.sleep(30)"], timeout=0.3)
    assert (asked.code, asked.err) == (124, "no answer within 0.3 s")


def test_what_is_passed_on_standard_input_reaches_the_program() -> None:
    assert capture([sys.executable, "-c", "print(input())"], stdin="secret").out == "secret\n"


def test_an_interruption_ends_what_was_at_work(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "from engine.process import logged\n"
        "work = \"print('at work'); import time; time.sleep(60)\"\n"
        "logged([sys.executable, '-uc', work], pathlib.Path(sys.argv[1]))\n"
    )
    log = tmp_path / "log"
    whole = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{script}",
            log,
        ],
        cwd=Path(__file__).parents[3],
        stderr=subprocess.PIPE,
    )
    while not (log.exists() and "\nat work" in log.read_text()):
        assert whole.poll() is None
        time.sleep(0.02)
    assert at_work(log)
    whole.send_signal(2)
    whole.communicate(timeout=20)
    assert not at_work(log)


def at_work(log: Path) -> list[int]:
    """The processes that have the log open, by /proc."""
    holders = []
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(link.readlink() == log for link in descriptors.iterdir()):
                holders.append(int(descriptors.parent.name))
        except OSError:
            continue
    return holders


def test_a_killed_programs_exit_code_is_a_shells() -> None:
    assert attached([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == 137


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (59.6, "1 min"), (130, "2 min 10 s"), (420, "7 min")])
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_progress_is_plain_and_aligned_where_nobody_looks() -> None:
    stream = io.StringIO()
    console = Console(stream)
    with console.working("pulumi", "building", 420):
        pass
    console.line("docker", "found")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "pulumi         building, about 7 min …"
    assert lines[1].strip() == "done in 0 s"
    assert lines[2] == "docker         found"
