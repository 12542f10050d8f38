"""Reading where this machine gets Debian packages from."""

from __future__ import annotations

from engine.apt_sources import Source, deb822, of_release, one_line, render

DEB822 = """\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://vendor.example/node
Suites: nodistro
Components: main

Types: deb-src
URIs: http://mirror.example/source
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/disabled
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://mirror.example/off bookworm main
deb [signed-by=/k.gpg arch=amd64] https://mirror.example/debian bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
deb-src http://mirror.example/debian bookworm main
deb https://vendor.example/tools stable main
"""


def test_deb822_stanzas_of_the_release_are_taken_with_their_schemes() -> None:
    assert of_release(deb822(DEB822), "bookworm") == [
        Source("", "http://mirror.example/debian"),
        Source("-security", "https://mirror.example/security"),
        Source("-updates", "http://mirror.example/debian"),
    ]


def test_one_line_entries_of_the_release_are_taken() -> None:
    assert of_release(one_line(ONE_LINE), "bookworm") == [
        Source("", "https://mirror.example/debian"),
        Source("-updates", "http://mirror.example/debian"),
    ]


def test_another_release_has_no_sources_here() -> None:
    assert of_release(one_line(ONE_LINE), "trixie") == []


def test_rendered_sources_read_back() -> None:
    sources = of_release(deb822(DEB822), "bookworm")
    assert of_release(one_line(render(sources, "bookworm")), "bookworm") == sources
