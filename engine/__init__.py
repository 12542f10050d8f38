"""Brings what the project needs to a machine that lacks it: Pulumi, its plugins, Docker, a base image, Python packages.

It runs on the machine's own Python with the standard library alone, because it works before the project's environment
exists. What it makes lies in a cache outside the checkout and is found again by its content.
"""

import sys

# Here and not in the command line's module: an older Python can't even read that one.
if sys.version_info < (3, 11):  # noqa: UP036
    found = ".".join(map(str, sys.version_info[:2]))
    sys.exit(f"Python {found} is too old, 3.11 or newer is needed: install one, or name it (make PYTHON=python3.12 …)")
