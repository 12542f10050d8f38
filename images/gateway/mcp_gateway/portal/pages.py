"""Renders pages, each with the headers that keep it from being framed, cached or made to run a stranger's script."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

STATIC_FOLDER: Final = Path(__file__).parent / "static"
_TEMPLATE_FOLDER: Final = Path(__file__).parent / "templates"

_TILES: Final = 6
"""How many colours the style sheet has for servers."""


def page_headers(form_targets: Iterable[str] = (), *, scripted: bool = False) -> dict[str, str]:
    """The headers of every page; `form_targets` are where its form may redirect to besides this site.

    `scripted` lets the portal's one script run and ask this site; signing in and consent do without.
    """
    form_action = " ".join(["'self'", *(target for target in form_targets if target)])
    script = "; script-src 'self'; connect-src 'self'" if scripted else ""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'self'; img-src 'self'; form-action {form_action}; "
            f"frame-ancestors 'none'; base-uri 'none'{script}"
        ),
        "X-Frame-Options": "DENY",
        # `no-referrer` would make browsers send `Origin: null` with our own forms.
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %B %Y, %H:%M UTC")


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


def _tile(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % _TILES


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"day": _day, "iso": _iso, "size": _size, "tile": _tile}
    # A changed file has another address, so browsers may keep it for good.
    for name, file in (("style_version", "style.css"), ("script_version", "portal.js")):
        environment.globals[name] = hashlib.sha256((STATIC_FOLDER / file).read_bytes()).hexdigest()[:12]
    return environment


@dataclass
class Pages:
    """Renders templates."""

    environment: Environment = field(default_factory=_environment)

    def render(
        self,
        template: str,
        *,
        status: int = 200,
        form_targets: Iterable[str] = (),
        scripted: bool = False,
        **content: object,
    ) -> HTMLResponse:
        """A page from a template."""
        body = self.environment.get_template(f"{template}.html").render(scripted=scripted, **content)
        return HTMLResponse(body, status, page_headers(form_targets, scripted=scripted))

    def error(self, status: int, title: str, message: str, *, onward: str = "", onward_host: str = "") -> HTMLResponse:
        """An error shown by this site itself; `onward` is a link back to the application, for the user to choose."""
        return self.render("error", status=status, title=title, message=message, onward=onward, onward_host=onward_host)
