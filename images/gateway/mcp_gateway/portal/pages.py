"""Renders pages, each with the headers that keep it from being framed, cached or scripted."""

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


def page_headers(form_targets: Iterable[str] = ()) -> dict[str, str]:
    """The headers of every page; `form_targets` are where its form may redirect to besides this site."""
    form_action = " ".join(["'self'", *(target for target in form_targets if target)])
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'self'; img-src 'self'; form-action {form_action}; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "X-Frame-Options": "DENY",
        # `no-referrer` would make browsers send `Origin: null` with our own forms.
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %B %Y, %H:%M UTC")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["day"] = _day
    # A changed style sheet has another address, so browsers may keep it for good.
    environment.globals["style_version"] = hashlib.sha256((STATIC_FOLDER / "style.css").read_bytes()).hexdigest()[:12]
    return environment


@dataclass
class Pages:
    """Renders templates."""

    environment: Environment = field(default_factory=_environment)

    def render(
        self, template: str, *, status: int = 200, form_targets: Iterable[str] = (), **content: object
    ) -> HTMLResponse:
        """A page from a template."""
        body = self.environment.get_template(f"{template}.html").render(**content)
        return HTMLResponse(body, status, page_headers(form_targets))

    def error(self, status: int, title: str, message: str, *, onward: str = "", onward_host: str = "") -> HTMLResponse:
        """An error shown by this site itself; `onward` is a link back to the application, for the user to choose."""
        return self.render("error", status=status, title=title, message=message, onward=onward, onward_host=onward_host)
