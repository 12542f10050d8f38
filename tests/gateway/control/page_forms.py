"""What a browser reads from a page and from a redirect; needs nothing of the gateway's own code."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl, urlsplit


def inputs(page: str) -> dict[str, str]:
    """The fields of a page's last form (the first one signs out)."""
    form = page.rpartition("<form ")[2]
    found = re.findall(r'<input[^>]* name="([^"]+)"(?:[^>]* value="([^"]*)")?', form)
    return {name: html.unescape(value) for name, value in found}


def query_of(location: str) -> dict[str, str]:
    """The parameters of a redirect."""
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))
