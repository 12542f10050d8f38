"""Checks that the package offers the command that uvx would run, and names those it offers when it doesn't."""

import os
import sys
from importlib.metadata import distributions
from pathlib import Path

command = sys.argv[1]
if not os.access(Path("/app/bin") / command, os.X_OK):
    site = next(Path("/app/lib").glob("python3.*/site-packages"))
    offered = sorted(
        point.name
        for package in distributions(path=[str(site)])
        for point in package.entry_points
        if point.group == "console_scripts"
    )
    sys.exit(f"no command {command!r}: set uvxConfig.command to one of {', '.join(offered) or 'none'}")
