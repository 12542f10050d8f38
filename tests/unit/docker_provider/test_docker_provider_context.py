"""Build contexts: deterministic, and honest about what is missing."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from docker_provider.build_context import OUTSIDE_DOCKERFILE, build_context, digest, write_archive
from docker_provider.errors import ProviderError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    context = tmp_path / "context"
    (context / "src").mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (context / "src" / "app.py").write_text("print()\n")
    (context / "secret.env").write_text("TOKEN=1")
    (context / ".dockerignore").write_text("# a comment\n*.env\nDockerfile\n")
    return context


def archived(folder: Path, dockerfile: Path | None = None) -> bytes:
    buffer = io.BytesIO()
    write_archive(build_context(str(folder), str(dockerfile) if dockerfile else None), buffer)
    return buffer.getvalue()


def test_the_archive_holds_what_is_not_ignored_owned_by_root_without_dates(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archived(folder))) as tar:
        assert sorted(tar.getnames()) == [".dockerignore", "Dockerfile", "src", "src/app.py"]
        assert {(entry.mtime, entry.uid, entry.gid) for entry in tar} == {(0, 0, 0)}


def test_dates_umask_and_ignored_files_change_nothing(folder: Path) -> None:
    before = digest(build_context(str(folder), None)), archived(folder)
    os.utime(folder / "src" / "app.py", (1, 1))
    (folder / "src" / "app.py").chmod(0o600)
    (folder / "secret.env").write_text("TOKEN=2")
    assert (digest(build_context(str(folder), None)), archived(folder)) == before


@pytest.mark.parametrize("change", ["content", "execute", "name", "dockerfile"])
def test_what_reaches_the_image_changes_the_digest(folder: Path, change: str) -> None:
    before = digest(build_context(str(folder), None))
    app = folder / "src" / "app.py"
    match change:
        case "content":
            app.write_text("print(1)\n")
        case "execute":
            app.chmod(0o755)
        case "name":
            app.rename(folder / "src" / "main.py")
        case "dockerfile":
            (folder / "Dockerfile").write_text("FROM scratch\n")
    assert digest(build_context(str(folder), None)) != before


def test_a_dockerfile_outside_the_context_is_sent_along(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "Other.Dockerfile"
    outside.write_text("FROM scratch\n")
    with tarfile.open(fileobj=io.BytesIO(archived(folder, outside))) as tar:
        assert OUTSIDE_DOCKERFILE in tar.getnames()


def test_a_missing_dockerfile_is_named_with_a_guess(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ProviderError, match="could not open Dockerfile; try context/Dockerfile"):
        build_context("context", "Dockerfile")
    with pytest.raises(ProviderError, match=r"build\.context: nowhere is not a folder"):
        build_context("nowhere", None)
