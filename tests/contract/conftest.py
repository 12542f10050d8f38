"""Puts the stand-in provider, which lives apart from the product, on the import path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "engine" / "docker-provider"))
