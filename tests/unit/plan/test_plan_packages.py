"""Which names pin a version, and how `uvx` names become requirements."""

from __future__ import annotations

import pytest

from components.plan.packages import image_pinned, npm_pinned, npm_wrong, python_pinned, requirement


@pytest.mark.parametrize(
    ("package", "wrong", "pinned"),
    [
        ("@scope/name@1.2.3", False, True),
        ("name@1.2.3-beta.1", False, True),
        ("name", False, False),
        ("name@latest", False, False),
        ("name@^1.2.3", False, False),
        ("-g", True, False),
        ("git+https://example.org/x.git", True, False),
        ("file:../x", True, False),
        ("name@1.2.3 other", True, False),
    ],
)
def test_npm_names(package: str, wrong: bool, pinned: bool) -> None:
    assert (npm_wrong(package) is not None) is wrong
    assert npm_pinned(package) is pinned


@pytest.mark.parametrize(
    ("package", "wanted", "pinned"),
    [
        ("name==1.2", "name==1.2", True),
        ("name@1.2", "name==1.2", True),
        ("name[extra, other]@1.2", "name[extra,other]==1.2", True),
        ("name@latest", "name", False),
        ("name >= 1, < 2", "name>=1,<2", False),
        ("name==1.*", "name==1.*", False),
        ("name", "name", False),
    ],
)
def test_python_names(package: str, wanted: str, pinned: bool) -> None:
    assert requirement(package) == (wanted, "name")
    assert python_pinned(wanted) is pinned


@pytest.mark.parametrize("package", ["git+https://example.org/x", "x @ https://example.org/x.whl", "--index-url", ""])
def test_what_no_index_has_is_no_requirement(package: str) -> None:
    assert requirement(package) is None


@pytest.mark.parametrize(
    ("reference", "pinned"),
    [
        ("box", False),
        ("box:latest", False),
        ("registry:5000/box", False),
        ("registry:5000/box:1", True),
        (f"box@sha256:{'0' * 64}", True),
    ],
)
def test_images(reference: str, pinned: bool) -> None:
    assert image_pinned(reference) is pinned
