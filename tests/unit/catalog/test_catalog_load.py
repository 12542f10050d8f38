from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from components.catalog import load as loading
from components.catalog.load import load
from components.catalog.parse import MAX_BYTES
from components.errors import Problems

ENTRY = "name: {0}\nentryKey: {0}\nruntime: npx\nnpxConfig: {{package: a@1.0.0}}\n"


def write(root: Path, name: str, text: str | None = None) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ENTRY.format(path.stem) if text is None else text, "utf-8")


def ids(root: Path, *include: str) -> list[str]:
    return sorted(entry.id for entry in load(include, root))


def wrong(root: Path, *include: str) -> str:
    with pytest.raises(Problems) as caught:
        load(include, root)
    return str(caught.value)


def test_files_and_folders_are_read_whole(tmp_path: Path) -> None:
    for name in ("c/a.yaml", "c/deep/b.yml", "c/notes.md", "c/.git/x.yaml", "single.yaml"):
        write(tmp_path, name)
    write(tmp_path, "c/list.json", json.dumps([{"name": "l1", "runtime": "npx", "npxConfig": {"package": "a"}}]))
    assert ids(tmp_path, "c", "single.yaml", "c/a.yaml") == ["a", "b", "l1", "single"]
    assert ids(tmp_path, str(tmp_path / "c" / "a.yaml")) == ["a"]


def test_the_two_pattern_files_choose_and_leave_out(tmp_path: Path) -> None:
    for name in ("c/a.yaml", "c/b.json5", "c/skip/d.yaml", "c/keep/e.catalog"):
        write(tmp_path, name)
    write(tmp_path, "c/.ignoreobotcatalogs", "# left out\nskip/\n")
    assert ids(tmp_path, "c") == ["a"]
    write(tmp_path, "c/.obotcatalogs", "*.catalog\n")
    assert ids(tmp_path, "c") == ["e"]


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside/x.yaml")
    write(tmp_path, "c/a.yaml")
    (tmp_path / "c" / "x.yaml").symlink_to(tmp_path / "outside" / "x.yaml")
    (tmp_path / "c" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "outside" / "x.yaml")
    assert ids(tmp_path, "c") == ["a"]
    assert "neither a file nor a folder" in wrong(tmp_path, "link.yaml")


def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path, "c/a.yaml")
    os.mkfifo(tmp_path / "c" / "pipe.yaml")
    assert ids(tmp_path, "c") == ["a"]


def test_the_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, "c/a.yaml", "name: A\nruntime: npx\n")
    write(tmp_path, "c/b.yaml", "name: [\n")
    (tmp_path / "c" / "d.yaml").write_bytes(b"name: \xff\n")
    (tmp_path / "empty").mkdir()
    text = wrong(tmp_path, "c", "gone", "empty")
    assert "c/a.yaml:1: A: npxConfig: is missing" in text
    assert "c/b.yaml:2: not YAML" in text
    assert "c/d.yaml: is not UTF-8" in text
    assert "catalog.include[1]: got gone: does not exist" in text
    assert "catalog.include[2]: got empty: holds no catalog file" in text


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_FILES", 2)
    for name in ("a", "b", "d"):
        write(tmp_path, f"c/{name}.yaml")
    assert "holds more than 2 catalog files" in wrong(tmp_path, "c")


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "#" * (MAX_BYTES + 10))
    assert "a.yaml: the file is larger than" in wrong(tmp_path, "a.yaml")
